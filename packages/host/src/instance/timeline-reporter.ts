import type { ReportStream } from "../channel/report-stream.ts";
import type { StepReporter } from "./execute.ts";

/** Puts the steps of an executor on the instance's timeline, and keeps which of them run. */
export class TimelineReporter implements StepReporter {
  readonly #reports: ReportStream;
  readonly #running = new Set<string>();

  constructor(reports: ReportStream) {
    this.#reports = reports;
  }

  /** Names of the steps that run now. */
  get runningSteps(): string[] {
    return [...this.#running];
  }

  step: StepReporter["step"] = (step, phase, { ms, log }) => {
    if (phase === "started") this.#running.add(step);
    else this.#running.delete(step);
    const facts = { ...(ms === undefined ? {} : { ms: Math.round(ms * 10) / 10 }), ...(log === undefined ? {} : { log }) };
    this.#reports.add({ kind: "step", step, phase, ...facts });
  };

  log: StepReporter["log"] = (step, text) => this.#reports.add({ kind: "log", step, text });
}
