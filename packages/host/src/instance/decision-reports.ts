import type { FilterDecision } from "@hardshare/protocol";
import { Allowance, type Clock } from "@hardshare/runtime";
import type { ReportStream } from "../channel/report-stream.ts";

/** Decisions of one kind that an instance may put on its timeline at once, and each second. */
const BURST = 100;
const PER_SECOND = 2;
/** After so long it is tried again to tell what came too fast. */
const RETRY_MS = 1000;

interface Decided {
  service: string;
  decision: FilterDecision;
}

/**
 * Puts decisions of an instance's filters on its timeline: at most so many, so that no flood of messages fills it. Of
 * those that come too fast the last is told as soon as there is room, with how many there were before. Allows have no
 * part in the room of blocks.
 */
export class DecisionReports implements Disposable {
  readonly #reports: Pick<ReportStream, "add">;
  readonly #clock: Clock;
  readonly #queues: Record<FilterDecision["decision"], BoundedQueue>;

  constructor(options: { reports: Pick<ReportStream, "add">; clock: Clock }) {
    this.#reports = options.reports;
    this.#clock = options.clock;
    this.#queues = { allow: this.#makeQueue(), block: this.#makeQueue() };
  }

  add(service: string, decision: FilterDecision): void {
    this.#queues[decision.decision].add({ service, decision });
  }

  /** Tells what still waits. */
  [Symbol.dispose](): void {
    for (const queue of Object.values(this.#queues)) queue[Symbol.dispose]();
  }

  #makeQueue(): BoundedQueue {
    return new BoundedQueue(this.#clock, ({ service, decision }, missed) =>
      this.#reports.add({ kind: "filter", service, decision, ...(missed === 0 ? {} : { missed }) }),
    );
  }
}

/** Lets through what there is room for; holds the last of what there is none for. */
class BoundedQueue implements Disposable {
  readonly #clock: Clock;
  readonly #tell: (decided: Decided, missed: number) => void;
  readonly #allowance: Allowance;
  #held: Decided | undefined;
  /** Messages of the decisions that were replaced by the held one. */
  #missed = 0;
  #timer: Disposable | undefined;

  constructor(clock: Clock, tell: (decided: Decided, missed: number) => void) {
    this.#clock = clock;
    this.#tell = tell;
    this.#allowance = new Allowance({ clock, burst: BURST, perSecond: PER_SECOND });
  }

  add(decided: Decided): void {
    if (this.#held !== undefined) this.#missed += this.#held.decision.count ?? 1;
    this.#held = decided;
    this.#tryToTell();
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#tellHeld();
  }

  #tryToTell(): void {
    if (this.#held === undefined) return;
    if (this.#allowance.take()) return this.#tellHeld();
    this.#timer ??= this.#clock.after(RETRY_MS, () => {
      this.#timer = undefined;
      this.#tryToTell();
    });
  }

  #tellHeld(): void {
    if (this.#held !== undefined) this.#tell(this.#held, this.#missed);
    this.#held = undefined;
    this.#missed = 0;
  }
}
