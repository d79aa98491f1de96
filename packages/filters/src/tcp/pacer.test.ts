import { ManualClock } from "@hardshare/runtime";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Pacer } from "./pacer.ts";

test("in no second more passes than the rate and a tenth of it, however it is asked", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1_000_000 }),
      fc.array(fc.record({ size: fc.integer({ min: 1, max: 100_000 }), waitMs: fc.integer({ min: 0, max: 300 }) }), { maxLength: 60 }),
      (bytesPerSecond, asked) => {
        const clock = new ManualClock();
        const pacer = new Pacer({ clock, bytesPerSecond });
        const passed: { atMs: number; bytes: number }[] = [];
        for (const { size, waitMs } of asked) {
          passed.push({ atMs: clock.monotonicMs(), bytes: pacer.take(size) });
          clock.advance(waitMs);
        }
        for (const { atMs } of passed) {
          const inSecond = passed.filter((each) => each.atMs >= atMs && each.atMs < atMs + 1000).reduce((sum, { bytes }) => sum + bytes, 0);
          expect(inSecond).toBeLessThanOrEqual(bytesPerSecond * 1.1 + 2);
        }
      },
    ),
  );
});

test("all passes in the end, at the rate", () => {
  const clock = new ManualClock();
  const pacer = new Pacer({ clock, bytesPerSecond: 1000 });
  let left = 3000;
  while (left > 0) {
    left -= pacer.take(left);
    clock.advance(pacer.waitMs);
  }
  expect(clock.monotonicMs()).toBeGreaterThanOrEqual(2950);
  expect(clock.monotonicMs()).toBeLessThanOrEqual(3050);
});
