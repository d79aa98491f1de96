import type { Monitor } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import type { LoadedContract } from "../contract/load-contract.ts";
import type { ProgramOutcome } from "../programs/run-program.ts";
import { ProgramRounds } from "./program-rounds.ts";

/** A run of a monitor that failed. */
export interface MonitorFailure {
  monitor: Monitor;
  /** Whether it passed before, or never ran. */
  isNew: boolean;
  message: string;
  /** The last lines that it wrote. */
  log: string;
}

interface MonitorScheduleOptions {
  clock: Clock;
  /** @param index its place in the contract */
  run: (monitor: Monitor, index: number, loaded: LoadedContract, signal: AbortSignal) => Promise<ProgramOutcome>;
  onFailure: (failure: MonitorFailure) => void;
  /** One passed, for the first time or again. */
  onPass: (monitor: Monitor, isAgain: boolean) => void;
}

/** Runs the monitors of one contract, each by its own clock, and remembers how they went. */
export class MonitorSchedule implements AsyncDisposable {
  readonly #options: MonitorScheduleOptions;
  #loaded: LoadedContract | undefined;
  /** Counts changes of the contract: only the last one begins rounds. */
  #turn = 0;
  #rounds: ProgramRounds[] = [];
  /** How each went when it ran last, by its command line; also over a change of the contract. */
  #verdicts = new Map<string, "passed" | "failed">();
  /** Settles when the rounds before have ended: no monitor runs twice at once. */
  #cleared: Promise<void> = Promise.resolve();

  constructor(options: MonitorScheduleOptions) {
    this.#options = options;
  }

  /** The contract whose monitors run, if any. */
  get loaded(): LoadedContract | undefined {
    return this.#loaded;
  }

  /** The monitors that have yet to run for the first time. */
  get pending(): string[] {
    return this.#monitors.filter(({ run }) => !this.#verdicts.has(run)).map(({ run }) => run);
  }

  /** The monitors that failed when they ran last, but for those with `on_fail: alert`. */
  get unfit(): string[] {
    return this.#monitors.filter(({ run, on_fail }) => on_fail !== "alert" && this.#verdicts.get(run) === "failed").map(({ run }) => run);
  }

  /** Runs the monitors of this contract from now on, and no others; the same contract again changes nothing. */
  set(loaded: LoadedContract | undefined): void {
    if (loaded?.text === this.#loaded?.text && loaded?.folder === this.#loaded?.folder) return;
    this.#loaded = loaded;
    const runs = new Set(this.#monitors.map(({ run }) => run));
    for (const run of this.#verdicts.keys()) if (!runs.has(run)) this.#verdicts.delete(run);
    const turn = (this.#turn += 1);
    const before = this.#rounds;
    this.#rounds = [];
    this.#cleared = Promise.all([this.#cleared, ...before.map((rounds) => rounds[Symbol.asyncDispose]())]).then(() => {
      if (this.#turn === turn && loaded !== undefined) this.#begin(loaded);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.set(undefined);
    await this.#cleared;
  }

  get #monitors(): readonly Monitor[] {
    return this.#loaded?.contract.monitors ?? [];
  }

  #begin(loaded: LoadedContract): void {
    const { clock, run } = this.#options;
    this.#rounds = loaded.contract.monitors.map(
      (monitor, index) =>
        new ProgramRounds({
          everyS: monitor.every,
          clock,
          run: (signal) => run(monitor, index, loaded, signal),
          onOutcome: (outcome) => this.#onOutcome(monitor, outcome),
        }),
    );
  }

  #onOutcome(monitor: Monitor, outcome: ProgramOutcome): void {
    const before = this.#verdicts.get(monitor.run);
    this.#verdicts.set(monitor.run, outcome.isOk ? "passed" : "failed");
    if (!outcome.isOk) return this.#options.onFailure({ monitor, isNew: before !== "failed", message: outcome.message, log: outcome.log });
    if (before !== "passed") this.#options.onPass(monitor, before === "failed");
  }
}
