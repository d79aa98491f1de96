import { join, resolve } from "node:path";
import type { Service } from "@hardshare/protocol";

/** A service that is a filter of ours. */
export type FilterService = Exclude<Service, { command: string }>;

/** Whether a service of the contract is a filter of ours, and no program of its owner's. */
export function isFilter(service: Service): service is FilterService {
  return service.filter !== undefined;
}

/** Whether a filter starts programs, which have to carry the label of their instance as it does itself. */
export function startsPrograms({ filter }: FilterService): boolean {
  return filter === "rpc" || filter === "rrpc";
}

/**
 * Arguments of `filter run` for a service of the contract.
 * @param places `contract`: its folder; `state`: where its budgets are written down; `tap`: where decisions are recorded
 */
export function filterArguments(service: FilterService, places: { contract: string; state: string; tap: string }): string[] {
  const { name, filter, rules, tap } = service;
  const target = "target" in service ? ["--target", service.target] : [];
  const file = rules === undefined ? [] : ["--rules", resolve(places.contract, rules)];
  const args = [filter, ...target, ...file, "--state", join(places.state, `${name}.budgets`)];
  if (filter === "serial") args.push("--baud", String(service.baud));
  if (filter === "mqtt") {
    const { username, password_file: password } = service;
    if (username !== undefined) args.push("--username", username);
    if (password !== undefined) args.push("--password-file", resolve(places.contract, password));
  }
  return tap ? [...args, "--decisions", join(places.tap, `${name}.decisions`)] : args;
}
