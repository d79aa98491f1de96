import { type AppError, toAppError } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import { describe, type StepAction, type StepReporter } from "./execute.ts";

/** Runs the programs for the safe state to their end, outside of any plan. @returns why the hardware may not be safe */
export async function runSafeState(options: {
  runPrograms: StepAction;
  clock: Clock;
  reporter: StepReporter;
}): Promise<AppError | undefined> {
  const { runPrograms, clock, reporter } = options;
  const startedAt = clock.monotonicMs();
  reporter.step("safe_state", "started", {});
  try {
    await runPrograms({ signal: new AbortController().signal, log: (text) => reporter.log("safe_state", text) });
    reporter.step("safe_state", "done", { ms: clock.monotonicMs() - startedAt });
    return undefined;
  } catch (error) {
    const failure = toAppError(error);
    reporter.step("safe_state", "failed", { ms: clock.monotonicMs() - startedAt, log: describe(failure) });
    return failure;
  }
}
