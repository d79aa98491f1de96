import { AppError, type LifecycleProgram, type OnFail } from "@hardshare/protocol";

/** Lists of lifecycle programs in a contract. */
export type ProgramEvent = "init" | "init_inside" | "terminate" | "safe_state" | "baseline";

/** What a failure means when the entry does not say so: before the instance is ready it ends it, afterwards it locks. */
const DEFAULT_ON_FAIL: Record<ProgramEvent, OnFail> = {
  init: "end",
  init_inside: "end",
  terminate: "lock",
  baseline: "lock",
  safe_state: "lock",
};

/** What a failure that `on_fail: warn` waives is told with; afterwards it is the owner's waiver of a lock-out. */
const WAIVED = "the launch goes on, because its entry says `on_fail: warn`";
const WAIVED_LOCK = "the deployment is not locked out, because its entry says `on_fail: warn`";

/** `isLeft`: a process of it goes on and cannot be killed. */
export type ProgramResult = { isOk: true } | { isOk: false; message: string; log: string; isLeft?: true };

/**
 * Runs the programs of one list, one after the other. Before READY the first failure ends the list; at the end, and
 * for the safe state, the others still run: each does its part to leave the hardware well. A program that cannot be
 * killed locks the deployment out, whatever its entry says.
 * @param warn called for a failure that its entry waives with `on_fail: warn`
 * @throws AppError `program_failed` with `details.log`; `details.locks` when the deployment is to be locked out
 */
export async function runProgramList(
  event: ProgramEvent,
  programs: readonly LifecycleProgram[],
  run: (program: LifecycleProgram) => Promise<ProgramResult>,
  warn: (message: string) => void,
): Promise<void> {
  const isBefore = event === "init" || event === "init_inside";
  const failures: { message: string; log: string; locks: boolean }[] = [];
  for (const program of programs) {
    const result = await run(program);
    if (result.isOk) continue;
    const onFail = program.on_fail ?? DEFAULT_ON_FAIL[event];
    if (onFail === "warn" && result.isLeft !== true) {
      warn(`${event}: ${result.message}; ${isBefore ? WAIVED : WAIVED_LOCK}${result.log === "" ? "" : `\n${result.log}`}`);
      continue;
    }
    failures.push({ ...result, locks: !isBefore || onFail === "lock" || result.isLeft === true });
    if (isBefore) break;
  }
  if (failures.length === 0) return;
  throw new AppError("program_failed", failures.map((failure) => failure.message).join("; "), {
    details: { log: failures.map((failure) => failure.log).join("\n"), locks: failures.some((failure) => failure.locks) },
  });
}
