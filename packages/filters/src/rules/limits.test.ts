import type { Budget } from "@hardshare/protocol";
import { ManualClock } from "@hardshare/runtime";
import { beforeEach, describe, expect, test } from "vitest";
import { type BudgetBook, openBudgetBook } from "./budget-book.ts";
import { LimitKeeper } from "./limits.ts";

let clock: ManualClock;
let keeper: LimitKeeper;
beforeEach(() => {
  clock = new ManualClock();
  keeper = new LimitKeeper({ clock, book: openBudgetBook({ file: undefined, clock }) });
});

const limits = (rate?: string, budget?: Budget, name = "POST /a") => keeper.limitsOf({ name, rate, budget });

/** How many of so many tries pass. */
function tryTimes(rule: { take(value: unknown): string | undefined }, times: number, value?: unknown): number {
  return Array.from({ length: times }, () => rule.take(value)).filter((problem) => problem === undefined).length;
}

test("a rule without limits lets everything pass", () => {
  expect(tryTimes(limits(), 100)).toBe(100);
});

describe("a rate", () => {
  test("lets so many pass in any such time, and refused ones do not count", () => {
    const rule = limits("3/s");
    expect(tryTimes(rule, 5)).toBe(3);
    expect(rule.take(undefined)).toBe("the owner allows 3/s of these, and they are used up for now");
    clock.advance(999);
    expect(tryTimes(rule, 5)).toBe(0);
    clock.advance(1);
    expect(tryTimes(rule, 5)).toBe(3);
  });

  test("is no bucket: a burst after a pause is as large as at any other time", () => {
    const rule = limits("10/min");
    clock.advance(3_600_000);
    expect(tryTimes(rule, 30)).toBe(10);
  });

  test("goes on when the rules are read again, also when it is changed", () => {
    expect(tryTimes(limits("3/s"), 2)).toBe(2);
    expect(tryTimes(limits("3/s"), 2)).toBe(1);
    expect(tryTimes(limits("5/s"), 9)).toBe(0); // three passed; how many before is not known any more
    clock.advance(1000);
    expect(tryTimes(limits("5/s"), 9)).toBe(5);
    expect(tryTimes(limits("2/s"), 9)).toBe(0);
    expect(tryTimes(limits("6/min"), 9)).toBe(0);
    clock.advance(59_000);
    expect(tryTimes(limits("6/min"), 9)).toBe(0);
    clock.advance(1000);
    expect(tryTimes(limits("6/min"), 9)).toBe(6);
  });

  test("that has never been reached is not reached by making it larger", () => {
    expect(tryTimes(limits("3/s"), 1)).toBe(1);
    expect(tryTimes(limits("5/s"), 9)).toBe(4);
  });

  test("of one rule is not that of another", () => {
    expect(tryTimes(limits("1/d"), 2)).toBe(1);
    expect(tryTimes(limits("1/d", undefined, "POST /b"), 2)).toBe(1);
  });

  test("starts empty when the filter was started again for the same instance", () => {
    const book: BudgetBook = Object.assign(openBudgetBook({ file: undefined, clock }), { isContinued: true });
    const rule = new LimitKeeper({ clock, book }).limitsOf({ name: "a", rate: "3/s", budget: undefined });
    expect(tryTimes(rule, 5)).toBe(0);
    clock.advance(1000);
    expect(tryTimes(rule, 5)).toBe(3);
  });
});

describe("a budget", () => {
  test("of messages is used up by messages", () => {
    const rule = limits(undefined, "3/h");
    expect(tryTimes(rule, 5)).toBe(3);
    clock.advance(3_600_000 - 1);
    expect(rule.take(undefined)).toBe("the owner's budget of 3/h is used up: 3 is used, this takes 1");
    clock.advance(1);
    expect(tryTimes(rule, 5)).toBe(3);
  });

  test("of a number in the message is used up by it, exactly to its end", () => {
    const rule = limits(undefined, { at_most: 500, per: "h", of: "joules" });
    expect(rule.take({ joules: 400 })).toBeUndefined();
    expect(rule.take({ joules: 101 })).toBe("the owner's budget of 500 joules/h is used up: 400 is used, this takes 101");
    expect(rule.take({ joules: 100 })).toBeUndefined();
    expect(rule.take({ joules: 0 })).toBeUndefined();
    expect(rule.take({ joules: 0.001 })).toContain("used up");
  });

  test("of numbers in several places is used up by their sum", () => {
    const rule = limits(undefined, { at_most: 10, of: "/steps/*/n" });
    expect(rule.take({ steps: [{ n: 4 }, { n: 6 }] })).toBeUndefined();
    expect(rule.take({ steps: [{ n: 0.1 }] })).toContain("budget of 10 /steps/*/n in this instance");
  });

  test.each([
    [{}],
    [{ joules: -1 }],
    [{ joules: "1" }],
    [{ joules: null }],
    [undefined],
    [[1]],
    [{ Joules: 1 }],
    [{ joules: 1, JOULES: 1 }],
  ])("refuses a message in which the number is missing, negative, none, or written otherwise: %j", (value) => {
    const rule = limits(undefined, { at_most: 500, of: "joules" });
    expect(rule.take(value)).toBe("the number that the owner's budget counts is missing, negative, no number, or written otherwise");
  });

  test("of the whole instance never fills again", () => {
    const rule = limits(undefined, { at_most: 2 });
    expect(tryTimes(rule, 5)).toBe(2);
    clock.advance(1000 * 86_400_000);
    expect(tryTimes(rule, 5)).toBe(0);
  });

  test("is not used up by what the rate refuses, nor the rate by what the budget refuses", () => {
    const rule = limits("2/s", "3/h");
    expect(tryTimes(rule, 5)).toBe(2);
    clock.advance(1000);
    expect(tryTimes(rule, 5)).toBe(1);
    expect(rule.take(undefined)).toContain("budget");
    expect(limits("2/s").take(undefined)).toBeUndefined();
  });

  test("goes on when the rules are read again, with its new size", () => {
    expect(tryTimes(limits(undefined, "3/h"), 5)).toBe(3);
    expect(tryTimes(limits(undefined, "5/h"), 5)).toBe(2);
    expect(tryTimes(limits(undefined, "4/h"), 5)).toBe(0);
  });

  test("keeps its time when rules are read that are not taken over, because something else in them is wrong", () => {
    const rule = limits(undefined, "2/d");
    expect(tryTimes(rule, 5)).toBe(2);
    expect(limits(undefined, "2/s")).toBeDefined();
    clock.advance(5000);
    expect(tryTimes(rule, 5)).toBe(0);
  });

  test("is not made full by a clock that is set forward", () => {
    const jumping = Object.assign(new ManualClock(), { jump: 0 });
    const now = jumping.now.bind(jumping);
    jumping.now = () => now() + jumping.jump;
    const rule = new LimitKeeper({ clock: jumping, book: openBudgetBook({ file: undefined, clock: jumping }) }).limitsOf({
      name: "a",
      rate: undefined,
      budget: "3/h",
    });
    expect(tryTimes(rule, 5)).toBe(3);
    jumping.jump = 10 * 3_600_000;
    expect(tryTimes(rule, 5)).toBe(0);
    jumping.jump = -10 * 3_600_000;
    jumping.advance(3_600_000);
    expect(tryTimes(rule, 5)).toBe(0);
    jumping.jump = 0;
    expect(tryTimes(rule, 5)).toBe(3);
  });

  test("of very many messages is kept in little memory, and never counts too little", () => {
    const rule = limits(undefined, "5000/h");
    for (let count = 0; count < 5000; count += 1) {
      clock.advance(100);
      expect(rule.take(undefined)).toBeUndefined();
    }
    expect(rule.take(undefined)).toContain("used up");
  });
});

test("when a budget can't be written down nothing passes", () => {
  const book = openBudgetBook({ file: undefined, clock });
  const broken: BudgetBook = {
    ...book,
    account: (...args) =>
      Object.assign(book.account(...args), {
        spend: () => {
          throw new Error("no space left on device");
        },
      }),
  };
  const rule = new LimitKeeper({ clock, book: broken }).limitsOf({ name: "a", rate: "5/s", budget: "5/h" });
  expect(rule.take(undefined)).toBe("the owner's budget cannot be written down: no space left on device");
});
