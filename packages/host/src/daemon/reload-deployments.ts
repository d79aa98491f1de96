import { resolve } from "node:path";
import { AppError, toAppError } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import * as z from "zod";
import type { LoadedContract } from "../contract/load-contract.ts";
import { type FilterService, isFilter } from "../instance/filter-arguments.ts";
import type { DeploymentKeeper } from "./deployment-keeper.ts";

/** What came of reading the files of one deployment anew. */
export const ReloadedDeployment = z.object({
  id: z.string(),
  contract: z.string(),
  /** The instance that runs; null for none. */
  instance: z.string().nullable(),
  /** Whether it began with another contract than the file has now: that holds for the next one. */
  isContractNewer: z.boolean(),
  /** Its filters. `problem`: why the rules before stay in force; null when those of the file are in force. */
  rules: z.array(z.object({ service: z.string(), file: z.string(), problem: z.string().nullable() })),
});
export type ReloadedDeployment = z.infer<typeof ReloadedDeployment>;

/**
 * Reads contracts and rules files anew. First all of them are checked, and filters that run keep their rules when one is
 * wrong; else they take over what the files say. Contracts hold for the next instances: with one that is wrong there is none.
 * @throws AppError `config_invalid`: one line for each problem with file, line, column, field and what was expected
 */
export async function reloadDeployments(keepers: readonly DeploymentKeeper[], clock: Clock): Promise<ReloadedDeployment[]> {
  const problems = new Set((await Promise.all(keepers.map((keeper) => findProblems(keeper, clock)))).flat());
  if (problems.size > 0) {
    await Promise.all(keepers.map((keeper) => keeper.offer.reload()));
    throw new AppError("config_invalid", [...problems].join("\n"));
  }
  return Promise.all(keepers.map(reload));
}

/** What is wrong with the contract, with the rules that it names, and with those of the instance that runs. */
async function findProblems(keeper: DeploymentKeeper, clock: Clock): Promise<string[]> {
  const contracts: LoadedContract[] = [];
  const problems: string[] = [];
  const running = keeper.current?.facts.loaded;
  if (running !== undefined) contracts.push(running);
  try {
    const next = await keeper.offer.readContract();
    contracts.push(next);
    await keeper.offer.checkPrograms(next);
  } catch (error) {
    problems.push(toAppError(error).message);
  }
  const { checkRulesFile } = await import("@hardshare/filters");
  for (const { filter, file } of contracts.flatMap(rulesFilesOf)) {
    await checkRulesFile({ filter, file, clock }).catch((error: unknown) => problems.push(toAppError(error).message));
  }
  return problems;
}

async function reload(keeper: DeploymentKeeper): Promise<ReloadedDeployment> {
  const { current, offer } = keeper;
  const [reread] = await Promise.all([current === undefined || current.isEnding ? [] : current.rereadRules(), offer.reload()]);
  const files = current === undefined ? [] : rulesFilesOf(current.facts.loaded);
  return {
    id: keeper.deploymentId,
    contract: offer.contractFile ?? "",
    instance: current?.facts.instanceId ?? null,
    isContractNewer: current !== undefined && current.facts.loaded.text !== offer.contract.text,
    rules: reread.flatMap(({ service, problem }) =>
      files.filter(({ name }) => name === service).map(({ file }) => ({ service, file, problem: problem ?? null })),
    ),
  };
}

/** The rules files that a contract names. */
function rulesFilesOf({ contract, folder }: LoadedContract): { name: string; filter: FilterService["filter"]; file: string }[] {
  return contract.services
    .filter(isFilter)
    .flatMap(({ name, filter, rules }) => (rules === undefined ? [] : [{ name, filter, file: resolve(folder, rules) }]));
}
