import { ManualClock } from "@hardshare/runtime";
import { expect, test } from "vitest";
import { RateWindows } from "./rate-limits.ts";

test("a window begins with the first request, ends an hour later, and counts each caller apart", () => {
  const clock = new ManualClock();
  const windows = new RateWindows(clock);
  expect(windows.take("a", 2)).toEqual({ limit: 2, remaining: 1, resetAtS: clock.now() / 1000 + 3600 });
  clock.advance(3_599_999);
  expect(windows.take("a", 2).remaining).toBe(0);
  expect(windows.take("a", 2).remaining).toBe(-1);
  expect(windows.take("b", 2).remaining).toBe(1);
  clock.advance(1);
  expect(windows.take("a", 2).remaining).toBe(1);
});

test("however many callers there are, only so many are remembered, the newest", () => {
  const windows = new RateWindows(new ManualClock());
  windows.take("first", 10);
  for (let index = 0; index < 100_000; index += 1) windows.take(`caller ${index}`, 10);
  expect(windows.take("caller 99999", 10).remaining).toBe(8);
  expect(windows.take("first", 10).remaining).toBe(9);
});
