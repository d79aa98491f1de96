import { realpath, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { toAppError } from "@hardshare/protocol";
import type { LoadedContract } from "../contract/load-contract.ts";
import { isFilter } from "../instance/filter-arguments.ts";
import { resolveCommand } from "../programs/command-line.ts";
import { inheritedEnvironment } from "../programs/program-place.ts";
import type { Findings } from "./findings.ts";

/** Lists of programs that run on the host. */
const LISTS = ["init", "terminate", "baseline", "safe_state"] as const;

/** Looks whether each program that the daemon runs can be run, and by whom it can be changed. */
export async function checkProgramFiles(
  { contract, folder }: LoadedContract,
  environment: Readonly<Record<string, string | undefined>>,
  findings: Findings,
): Promise<void> {
  const place = { folder, env: inheritedEnvironment(environment) };
  const programs = [...LISTS, "monitors" as const].flatMap((list) => contract[list].map(({ run }) => ({ where: list as string, run })));
  for (const service of contract.services) if (!isFilter(service)) programs.push({ where: service.name, run: service.command });
  for (const { where, run } of programs) {
    try {
      const [path = ""] = await resolveCommand(run, place);
      const risk = path.includes("/") ? await whoElseMayChange(path) : undefined;
      if (risk !== undefined) findings.add("program_writable", `${where}: ${risk}`);
    } catch (error) {
      findings.add("program_unusable", `${where}: ${toAppError(error).message}`);
    }
  }
}

/** By whom, other than root and this user, a file or a folder above it can be changed or replaced; undefined for nobody. */
async function whoElseMayChange(path: string): Promise<string | undefined> {
  const file = await realpath(path);
  const above = [file];
  while (dirname(above[0] ?? "/") !== above[0]) above.unshift(dirname(above[0] ?? "/"));
  for (const each of above) {
    const { uid, gid, mode } = await stat(each);
    if (uid !== 0 && uid !== process.geteuid?.()) return `${each} belongs to another user (uid ${uid})`;
    if ((mode & 0o1000) !== 0) continue; // sticky: nobody replaces what is another's
    if ((mode & 0o002) !== 0) return `${each} can be changed by everybody`;
    if ((mode & 0o020) !== 0 && gid !== 0 && gid !== process.getegid?.()) return `${each} can be changed by its group (gid ${gid})`;
  }
  return undefined;
}
