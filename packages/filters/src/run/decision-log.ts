import { type FilterDecision, MAX_DECISION_REASON_CHARS, MAX_DECISION_SUMMARY_CHARS } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import type { Judgement } from "./filter-kind.ts";
import type { ReportWriter } from "./report-writer.ts";

/** Decisions of the same rule, made in this time after one that was told, are told as one. */
const TOGETHER_MS = 1000;

interface DecisionLogOptions {
  readonly filter: string;
  readonly reports: ReportWriter;
  readonly clock: Clock;
}

/** Decisions of one rule that wait to be told together. */
interface Waiting {
  last: Judgement | undefined;
  count: number;
  timer: Disposable;
}

/**
 * Tells decisions: of the same rule, decision and direction the first at once, those of the next second together, and so
 * on. So a flood becomes a line each second and rule, whatever its rate; and a reader that stops holds nothing in memory
 * but one decision for each.
 */
export class DecisionLog implements Disposable {
  readonly #options: DecisionLogOptions;
  readonly #waiting = new Map<string, Waiting>();

  constructor(options: DecisionLogOptions) {
    this.#options = options;
  }

  add(judgement: Judgement): void {
    const key = `${judgement.direction} ${judgement.decision} ${judgement.mode} ${judgement.rule}`;
    let waiting = this.#waiting.get(key);
    if (waiting === undefined) {
      waiting = { last: undefined, count: 0, timer: this.#tellLater(key) };
      this.#waiting.set(key, waiting);
      if (this.#options.reports.isTaken) return this.#tell(judgement, 1);
    }
    waiting.last = judgement;
    waiting.count += 1;
  }

  /** Tells what still waits. */
  [Symbol.dispose](): void {
    for (const { last, count, timer } of this.#waiting.values()) {
      timer[Symbol.dispose]();
      if (last !== undefined) this.#tell(last, count);
    }
    this.#waiting.clear();
  }

  #tellLater(key: string): Disposable {
    return this.#options.clock.after(TOGETHER_MS, () => {
      const waiting = this.#waiting.get(key);
      if (waiting?.last === undefined) {
        this.#waiting.delete(key);
        return;
      }
      if (this.#options.reports.isTaken) {
        this.#tell(waiting.last, waiting.count);
        waiting.last = undefined;
        waiting.count = 0;
      }
      waiting.timer = this.#tellLater(key);
    });
  }

  #tell({ direction, rule, decision, mode, summary, because }: Judgement, count: number): void {
    const told: FilterDecision = {
      type: "decision",
      at: new Date(this.#options.clock.now()).toISOString(),
      filter: this.#options.filter,
      direction,
      rule: shorten(rule, MAX_DECISION_REASON_CHARS),
      decision,
      mode,
      summary: shorten(summary, MAX_DECISION_SUMMARY_CHARS),
      ...(because === undefined ? {} : { because: shorten(because, MAX_DECISION_REASON_CHARS) }),
      ...(count === 1 ? {} : { count }),
    };
    this.#options.reports.write(told);
  }
}

function shorten(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}
