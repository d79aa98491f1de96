import { toAppError } from "@hardshare/protocol";
import { isFilter } from "./filter-arguments.ts";
import type { InstanceParts } from "./instance-parts.ts";

/** What came of reading the rules of one filter again. */
export interface RereadRules {
  service: string;
  /** Why the rules before stay in force; undefined when those of the file are. */
  problem: string | undefined;
}

/** Has the filters of an instance read their rules again. */
export function rereadRules({ contract, services }: InstanceParts): Promise<RereadRules[]> {
  const filters = new Set(contract.services.filter(isFilter).map(({ name }) => name));
  return Promise.all(
    services
      .filter(({ name }) => filters.has(name))
      .map(async (service) => ({
        service: service.name,
        problem: await service.rereadRules().catch((error: unknown) => toAppError(error).message),
      })),
  );
}
