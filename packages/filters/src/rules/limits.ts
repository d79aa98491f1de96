import type { Budget } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import { compilePlace, findPlaces } from "./json-place.ts";

/** How often a rule lets messages through. */
export interface Limits {
  /**
   * Uses up what this message takes, or nothing. Returns only after a budget has been written down.
   * @param value the message as a JSON value, for budgets of a number in it
   * @returns why the message is refused, or undefined
   */
  take(value: unknown): string | undefined;
}

/** Where budgets are written down, so that a crash can't refill them. */
export interface BudgetBook {
  /** Whether the filter was started again for the same instance: rates then start empty. */
  readonly isContinued: boolean;
  /** What was used of a budget, as [time in milliseconds since 1970, amount] pairs, oldest first. */
  read(name: string): readonly (readonly [at: number, amount: number])[];
  /** Writes it down, synced, before it returns. @throws Error when it can't be written: nothing may pass then */
  write(name: string, used: readonly (readonly [at: number, amount: number])[]): void;
}

export interface LimitsOptions {
  /** By which its budget is found again in the book: stays the same when the file is read again. */
  readonly name: string;
  readonly rate: string | undefined;
  readonly budget: Budget | undefined;
  readonly clock: Clock;
  readonly book: BudgetBook;
}

const MS_PER: Readonly<Record<string, number>> = { s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 };
/** Entries that are kept of a budget; older ones are added up. */
const MAX_ENTRIES = 1000;

/** Limits of one rule. */
export function makeLimits(options: LimitsOptions): Limits {
  const rate = options.rate === undefined ? undefined : makeRate(options.rate, options);
  const budget = options.budget === undefined ? undefined : makeBudget(options.budget, options);
  return {
    take(value) {
      const problem = rate?.problem();
      if (problem !== undefined) return problem;
      const spent = budget?.take(value);
      if (spent !== undefined) return spent;
      rate?.count();
      return undefined;
    },
  };
}

/** At most so many in any such time: the times of the last ones are kept. */
function makeRate(source: string, { clock, book }: LimitsOptions) {
  const [text = "", unit = "s"] = source.split("/");
  const most = Number(text);
  const windowMs = MS_PER[unit] ?? 1000;
  const times = new Float64Array(most).fill(book.isContinued ? clock.monotonicMs() : Number.NEGATIVE_INFINITY);
  let next = 0;
  return {
    problem: () =>
      clock.monotonicMs() - (times[next] ?? 0) < windowMs ? `the owner allows ${source} of these, and they are used up for now` : undefined,
    count: () => {
      times[next] = clock.monotonicMs();
      next = (next + 1) % most;
    },
  };
}

function makeBudget(source: Budget, { name, clock, book }: LimitsOptions) {
  const { most, windowMs, place, words } = readBudget(source);
  let used = [...book.read(name)];
  return {
    take(value: unknown): string | undefined {
      const amount = place === undefined ? 1 : amountIn(value, place);
      if (amount === undefined) return "the number that the owner's budget counts is missing, or negative, or no number";
      const now = clock.now();
      if (windowMs !== undefined) used = used.filter(([at]) => at > now - windowMs);
      const sum = used.reduce((total, [, each]) => total + each, 0);
      if (sum + amount > most) return `the owner's budget of ${words} is used up: ${sum} is used, this takes ${amount}`;
      const after = [...used, [now, amount] as const];
      while (after.length > MAX_ENTRIES) {
        // Kept longer than they count: never the other way round.
        const [first, second] = after.splice(0, 2);
        after.unshift([second?.[0] ?? now, (first?.[1] ?? 0) + (second?.[1] ?? 0)]);
      }
      book.write(name, after);
      used = after;
      return undefined;
    },
  };
}

function readBudget(source: Budget) {
  if (typeof source === "string") {
    const [text = "", unit = "h"] = source.split("/");
    return { most: Number(text), windowMs: MS_PER[unit], place: undefined, words: source };
  }
  const { at_most: most, per, of } = source;
  const words = `${most}${of === undefined ? "" : ` ${of}`}${per === undefined ? " in this instance" : `/${per}`}`;
  return {
    most,
    windowMs: per === undefined ? undefined : MS_PER[per],
    place: of === undefined ? undefined : compilePlace(of),
    words,
  };
}

function amountIn(value: unknown, place: ReturnType<typeof compilePlace>): number | undefined {
  let sum: number | undefined;
  for (const { holder, key } of findPlaces(value, place)) {
    const number = holder[key];
    if (typeof number !== "number" || number < 0) return undefined;
    sum = (sum ?? 0) + number;
  }
  return sum;
}
