import { expect, test } from "vitest";
import { DurationSeconds } from "./durations.ts";

test("a duration of a configuration file is a time that passes and has an end", () => {
  expect(DurationSeconds.parse("1h30m")).toBe(5400);
  expect(DurationSeconds.parse(0.5)).toBe(0.5);
  for (const wrong of ["0s", 0, -1, Number.POSITIVE_INFINITY, Number.NaN, `${"9".repeat(400)}s`, "3651d", "soon"]) {
    expect(DurationSeconds.safeParse(wrong).success, String(wrong)).toBe(false);
  }
});
