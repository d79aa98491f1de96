import type { Budget } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import type { BudgetBook } from "./budget-book.ts";
import { compilePlace, findLookalike, findPlaces, hasDeadEnd, type JsonPlace } from "./json-place.ts";
import { RateHistory } from "./rate-history.ts";

/** How often a rule lets messages through. */
export interface Limits {
  /**
   * Uses up what this message takes, or nothing. Returns only after a budget has been written down.
   * @param value the message as a JSON value, for budgets of a number in it
   * @returns why the message is refused, or undefined
   */
  take(value: unknown): string | undefined;
}

/** What a rule says of how often. */
export interface LimitsOfRule {
  /** By which its budget and the times of its last messages are found again when the rules are read again. */
  readonly name: string;
  readonly rate: string | undefined;
  readonly budget: Budget | undefined;
}

const MS_PER: Readonly<Record<string, number>> = { s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 };

/** Keeps what was used of the limits of all rules of a filter, also when its rules are read again. */
export class LimitKeeper {
  readonly #clock: Clock;
  readonly #book: BudgetBook;
  readonly #histories = new Map<string, RateHistory>();

  constructor({ clock, book }: { readonly clock: Clock; readonly book: BudgetBook }) {
    this.#clock = clock;
    this.#book = book;
  }

  /** The limits of one rule. */
  limitsOf({ name, rate, budget }: LimitsOfRule): Limits {
    const rated = rate === undefined ? undefined : this.#makeRate(name, rate);
    const budgeted = budget === undefined ? undefined : this.#makeBudget(name, budget);
    return {
      take(value) {
        const problem = rated?.problem() ?? budgeted?.take(value);
        if (problem === undefined) rated?.count();
        return problem;
      },
    };
  }

  /** At most so many in any such time. */
  #makeRate(name: string, source: string) {
    const { most, windowMs } = readRate(source);
    let history = this.#histories.get(name);
    if (history === undefined) {
      // Started again for the same instance: what passed before is not known, so it counts as just now.
      history = new RateHistory(this.#book.isContinued ? this.#clock.monotonicMs() : Number.NEGATIVE_INFINITY);
      this.#histories.set(name, history);
    }
    history.remember(most);
    const times = history;
    return {
      problem: () =>
        this.#clock.monotonicMs() - times.last(most) < windowMs
          ? `the owner allows ${source} of these, and they are used up for now`
          : undefined,
      count: () => times.add(this.#clock.monotonicMs()),
    };
  }

  #makeBudget(name: string, source: Budget) {
    const { most, windowMs, of, place, words } = readBudget(source);
    const account = this.#book.account(of === undefined ? name : `${name} ${of}`, windowMs);
    return {
      take(value: unknown): string | undefined {
        const amount = place === undefined ? 1 : amountIn(value, place);
        if (amount === undefined) {
          return "the number that the owner's budget counts is missing, negative, no number, or written otherwise";
        }
        const used = account.used(windowMs);
        if (!(used + amount <= most)) return `the owner's budget of ${words} is used up: ${used} is used, this takes ${amount}`;
        try {
          account.spend(amount);
        } catch (error) {
          return `the owner's budget cannot be written down: ${(error as Error).message}`;
        }
        return undefined;
      },
    };
  }
}

function readRate(source: string): { most: number; windowMs: number } {
  const [text = "", unit = "s"] = source.split("/");
  return { most: Number(text), windowMs: MS_PER[unit] ?? 1000 };
}

function readBudget(source: Budget) {
  if (typeof source === "string") return { ...readRate(source), of: undefined, place: undefined, words: source };
  const { at_most: most, per, of } = source;
  return {
    most,
    windowMs: per === undefined ? undefined : MS_PER[per],
    of,
    place: of === undefined ? undefined : compilePlace(of),
    words: `${most}${of === undefined ? "" : ` ${of}`}${per === undefined ? " in this instance" : `/${per}`}`,
  };
}

/** The sum of the numbers at a place, if that can be told. */
function amountIn(value: unknown, place: JsonPlace): number | undefined {
  if (findLookalike(value, place) !== undefined || hasDeadEnd(value, place)) return undefined;
  let sum: number | undefined;
  for (const { holder, key } of findPlaces(value, place)) {
    const number = holder[key];
    if (typeof number !== "number" || !(number >= 0)) return undefined;
    sum = (sum ?? 0) + number;
  }
  return sum;
}
