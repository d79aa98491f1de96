import type { Clock } from "@hardshare/runtime";
import type { Judgement } from "./filter-kind.ts";
import type { ReportWriter } from "./report-writer.ts";

/** Longest time after input was judged until that is told: by it the dead-man's switch knows that the user acts. */
const HEARD_WITHIN_MS = 100;

interface PulseOptions {
  readonly reports: ReportWriter;
  readonly clock: Clock;
  readonly everyMs: number;
}

/** The filter's sign of life (`FilterPulse`): from timers of the loop that judges, so that it stops when that hangs. */
export class Pulse implements Disposable {
  readonly #options: PulseOptions;
  readonly #judged = { in: 0, out: 0, blocked: 0 };
  #signs = 0;
  #timer: Disposable;
  #dueMs: number;

  constructor(options: PulseOptions) {
    this.#options = options;
    this.#dueMs = options.clock.monotonicMs() + options.everyMs;
    this.#timer = options.clock.after(options.everyMs, () => this.#beat());
  }

  count({ direction, decision, mode, isSign = true }: Judgement): void {
    this.#judged[direction] += 1;
    if (decision === "block" && mode === "enforce") this.#judged.blocked += 1;
    if (direction !== "in" || !isSign) return;
    this.#signs += 1;
    this.#beatWithin(HEARD_WITHIN_MS);
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
    this.#write();
  }

  #beatWithin(ms: number): void {
    const dueMs = this.#options.clock.monotonicMs() + ms;
    if (dueMs >= this.#dueMs) return;
    this.#dueMs = dueMs;
    this.#timer[Symbol.dispose]();
    this.#timer = this.#options.clock.after(ms, () => this.#beat());
  }

  #beat(): void {
    this.#write();
    this.#dueMs = Number.POSITIVE_INFINITY;
    this.#beatWithin(this.#options.everyMs);
  }

  #write(): void {
    const { reports, clock } = this.#options;
    if (!reports.isTaken) return;
    reports.write({ type: "pulse", at: new Date(clock.now()).toISOString(), judged: { ...this.#judged }, signs: this.#signs });
  }
}
