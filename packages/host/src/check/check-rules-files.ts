import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { toAppError } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import { parse } from "yaml";
import type { LoadedContract } from "../contract/load-contract.ts";
import { isFilter } from "../instance/filter-arguments.ts";
import type { Findings } from "./findings.ts";

/** Reads the rules of each filter of the contract as the filter will, and looks whether they constrain anything. */
export async function checkRulesFiles({ contract, folder }: LoadedContract, clock: Clock, findings: Findings): Promise<void> {
  const { checkRulesFile } = await import("@hardshare/filters");
  for (const { name, filter, rules } of contract.services.filter(isFilter)) {
    if (rules === undefined) {
      findings.add("unfiltered_service", `${name}: the filter ${filter} has no rules file`);
      continue;
    }
    const file = resolve(folder, rules);
    try {
      await checkRulesFile({ filter, file, clock });
    } catch (error) {
      findings.add("contract_invalid", `${name}: ${toAppError(error).message}`);
      continue;
    }
    const { default: otherwise, mode } = topOf(await readFile(file, "utf8"));
    if (otherwise === "allow") findings.add("unfiltered_service", `${name}: ${file} says \`default: allow\``);
    if (mode === "shadow") findings.add("unfiltered_service", `${name}: ${file} says \`mode: shadow\`, so nothing is refused`);
  }
}

/** The fields of a valid rules file that decide for all messages. */
function topOf(text: string): { default?: unknown; mode?: unknown } {
  const top: unknown = parse(text);
  return typeof top === "object" && top !== null ? top : {};
}
