import { ManualClock } from "@hardshare/runtime";
import fc from "fast-check";
import { expect, test } from "vitest";
import { openBudgetBook } from "./budget-book.ts";
import { LimitKeeper } from "./limits.ts";

const MS_PER = { s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 };
const unit = fc.constantFrom("s" as const, "min" as const, "h" as const, "d" as const);
/** Pauses as parts of the time that a limit speaks of, with its edges. */
const pauses = fc.array(fc.oneof(fc.constantFrom(0, 0, 0, 0.25, 0.5, 1), fc.double({ min: 0, max: 1.2, noNaN: true })), { maxLength: 60 });

test("in no time of its length do more pass than a rate says, and what could pass does", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 8 }), unit, pauses, (most, per, steps) => {
      const clock = new ManualClock();
      const rule = new LimitKeeper({ clock, book: openBudgetBook({ file: undefined, clock }) }).limitsOf({
        name: "a",
        rate: `${most}/${per}`,
        budget: undefined,
      });
      const passed: number[] = [];
      for (const step of steps) {
        clock.advance(step * MS_PER[per]);
        const now = clock.monotonicMs();
        const inWindow = passed.filter((at) => now - at < MS_PER[per]).length;
        const hasPassed = rule.take(undefined) === undefined;
        expect(hasPassed).toBe(inWindow < most);
        if (hasPassed) passed.push(now);
      }
    }),
  );
});

test("in no time of its length is more used of a budget than it says, and what could be used is", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 100 }),
      unit,
      fc.array(fc.tuple(fc.double({ min: 0, max: 1.2, noNaN: true }), fc.integer({ min: 0, max: 60 }))),
      (most, per, steps) => {
        const clock = new ManualClock();
        const rule = new LimitKeeper({ clock, book: openBudgetBook({ file: undefined, clock }) }).limitsOf({
          name: "a",
          rate: undefined,
          budget: { at_most: most, per, of: "n" },
        });
        const used: { at: number; n: number }[] = [];
        for (const [step, n] of steps) {
          clock.advance(Math.round(step * MS_PER[per]));
          const now = clock.now();
          const inWindow = used.filter(({ at }) => now - at < MS_PER[per]).reduce((sum, each) => sum + each.n, 0);
          const hasPassed = rule.take({ n }) === undefined;
          expect(hasPassed).toBe(inWindow + n <= most);
          if (hasPassed) used.push({ at: now, n });
        }
      },
    ),
  );
});

test("while the rules are read again, with whatever rates, none lets more pass than it says", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 6 }), fc.constantFrom("s" as const, "min" as const), pauses), { maxLength: 5 }),
      (files) => {
        const clock = new ManualClock();
        const keeper = new LimitKeeper({ clock, book: openBudgetBook({ file: undefined, clock }) });
        const passed: number[] = [];
        for (const [most, per, steps] of files) {
          const rule = keeper.limitsOf({ name: "a", rate: `${most}/${per}`, budget: undefined });
          for (const step of steps) {
            clock.advance(step * 1000);
            const now = clock.monotonicMs();
            if (rule.take(undefined) !== undefined) continue;
            expect(passed.filter((at) => now - at < MS_PER[per]).length).toBeLessThan(most);
            passed.push(now);
          }
        }
      },
    ),
  );
});
