import type { Clock } from "@hardshare/runtime";

/** What was used of a budget at one time (milliseconds since 1970). */
export interface BudgetEntry {
  readonly at: number;
  readonly amount: number;
}

/** An entry with the time of a clock that only grows; −∞ for one of an earlier process. */
type TimedEntry = BudgetEntry & { readonly monotonicMs: number };

interface BudgetAccountOptions {
  readonly clock: Clock;
  /** What an earlier process used, oldest first. */
  readonly entries: readonly BudgetEntry[];
  /** Writes an entry down, synced, before it returns. @throws Error when it can't be */
  readonly write: (entry: BudgetEntry) => void;
}

/** Entries that are kept of a budget; older ones are added up. */
const MAX_ENTRIES = 1000;

/** What was used of one budget. */
export class BudgetAccount {
  /** The longest that what was used counts for any rule: also for one of rules that were not taken over. */
  #keptMs = 0;
  readonly #clock: Clock;
  readonly #write: (entry: BudgetEntry) => void;
  #entries: TimedEntry[];

  constructor({ clock, entries, write }: BudgetAccountOptions) {
    this.#clock = clock;
    this.#write = write;
    this.#entries = entries.map((entry) => ({ ...entry, monotonicMs: Number.NEGATIVE_INFINITY }));
    this.#addUpOldest();
  }

  get entries(): readonly BudgetEntry[] {
    return this.#entries;
  }

  /** What was used is remembered for so long, at least. @param windowMs undefined: for ever */
  keepFor(windowMs: number | undefined): void {
    this.#keptMs = Math.max(this.#keptMs, windowMs ?? Number.POSITIVE_INFINITY);
  }

  /** How much was used in the last `windowMs`, of those for which it is kept; undefined: ever. */
  used(windowMs: number | undefined): number {
    this.#entries = this.#within(this.#keptMs);
    return this.#within(windowMs ?? Number.POSITIVE_INFINITY).reduce((sum, { amount }) => sum + amount, 0);
  }

  /** Uses up so much. Returns after it was written down. @throws Error when it can't be: nothing may pass then */
  spend(amount: number): void {
    const entry = { at: this.#clock.now(), monotonicMs: this.#clock.monotonicMs(), amount };
    this.#write(entry);
    this.#entries.push(entry);
    this.#addUpOldest();
  }

  /** By both clocks: neither one that was set forward, nor a pause of the computer, makes a budget full again too early. */
  #within(windowMs: number): TimedEntry[] {
    if (windowMs === Number.POSITIVE_INFINITY) return this.#entries;
    const at = this.#clock.now() - windowMs;
    const monotonicMs = this.#clock.monotonicMs() - windowMs;
    return this.#entries.filter((entry) => entry.at > at || entry.monotonicMs > monotonicMs);
  }

  /** Kept longer than they count, never the other way round. */
  #addUpOldest(): void {
    while (this.#entries.length > MAX_ENTRIES) {
      const [first, second] = this.#entries;
      if (first === undefined || second === undefined) return;
      this.#entries.splice(0, 2, {
        at: Math.max(first.at, second.at),
        monotonicMs: Math.max(first.monotonicMs, second.monotonicMs),
        amount: first.amount + second.amount,
      });
    }
  }
}
