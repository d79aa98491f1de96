import { Contract, toAppError } from "@hardshare/protocol";
import { parseYamlWith } from "@hardshare/runtime";
import { resolveCommand } from "../programs/command-line.ts";
import { inheritedEnvironment } from "../programs/program-place.ts";
import type { LoadedContract } from "./load-contract.ts";

/** Lists of programs that run on the host. */
const LISTS = ["init", "terminate", "baseline", "safe_state"] as const;

/**
 * Looks whether the programs of the contract that run on the host can be run: lifecycle, monitors, cooldown. Those for the end and for the safe state run
 * when it is too late to mend them. What an entry waives with `on_fail: warn` is not looked at.
 * @throws AppError `config_invalid`: one line for each that cannot be run, with file, line, column and field
 */
export async function checkPrograms(
  { contract, text, file, folder }: LoadedContract,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const place = { folder, env: inheritedEnvironment(environment) };
  const { cooldown, monitors } = contract;
  const entries: { path: (string | number)[]; program: { run: string; on_fail?: string | undefined } }[] = [
    ...LISTS.flatMap((list) => contract[list].map((program, index) => ({ path: [list, index], program }))),
    ...monitors.map((program, index) => ({ path: ["monitors", index], program })),
    ...(typeof cooldown === "object" ? [{ path: ["cooldown"], program: cooldown }] : []),
  ];
  const problems = await Promise.all(
    entries
      .filter(({ program }) => program.on_fail !== "warn")
      .map(({ path, program }) =>
        resolveCommand(program.run, place).then(
          () => [],
          (error: unknown) => [{ code: "custom" as const, path, message: toAppError(error).message, input: program.run }],
        ),
      ),
  );
  const issues = problems.flat();
  if (issues.length === 0) return;
  parseYamlWith(
    Contract.superRefine((_, context) => issues.forEach((issue) => context.addIssue(issue))),
    text,
    file,
  );
}
