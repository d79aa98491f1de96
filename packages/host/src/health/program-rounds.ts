import { toAppError } from "@hardshare/protocol";
import { type Clock, pause } from "@hardshare/runtime";
import type { ProgramOutcome } from "../programs/run-program.ts";

interface ProgramRoundsOptions {
  /** From the beginning of one run to that of the next; a run that takes longer is followed by the next at once. */
  everyS: number;
  clock: Clock;
  run: (signal: AbortSignal) => Promise<ProgramOutcome>;
  onOutcome: (outcome: ProgramOutcome) => void;
}

/**
 * Runs a program again and again, never twice at the same time, from now until it is disposed. One that cannot be killed
 * is not run again: it still runs.
 */
export class ProgramRounds implements AsyncDisposable {
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;

  constructor(options: ProgramRoundsOptions) {
    this.#ended = this.#run(options);
  }

  /** Ends the run under way, of which nothing is told. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }

  async #run({ everyS, clock, run, onOutcome }: ProgramRoundsOptions): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const startedAtMs = clock.monotonicMs();
      // Also one that cannot be run is an outcome: nobody knows how the hardware is.
      const outcome = await run(signal).catch((error: unknown) => ({ isOk: false, message: toAppError(error).message, log: "" }) as const);
      if (signal.aborted) return;
      onOutcome(outcome);
      if (!outcome.isOk && "isLeft" in outcome && outcome.isLeft === true) return;
      await pause(clock, Math.max(0, everyS * 1000 - (clock.monotonicMs() - startedAtMs)), signal);
    }
  }
}
