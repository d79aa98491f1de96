import { expect, test } from "vitest";
import { placeDeadline, remainingMs, replaceDeadline } from "./deadline.ts";

const start = { wallMs: Date.UTC(2026, 0, 1), uptimeMs: 5_000, bootId: "a" };
const sent = { deadline: "2026-01-01T00:01:00.000Z", remainingMs: 60_000 };
const later = (ms: number, change: Partial<typeof start> = {}) => ({
  wallMs: start.wallMs + ms,
  uptimeMs: start.uptimeMs + ms,
  bootId: "a",
  ...change,
});

test("the clock that reaches the deadline first decides", () => {
  const deadline = placeDeadline(sent, start);
  expect(remainingMs(deadline, later(20_000))).toBe(40_000);
  expect(remainingMs(deadline, later(20_000, { wallMs: start.wallMs + 70_000 }))).toBe(-10_000);
  expect(remainingMs(deadline, later(60_000, { wallMs: start.wallMs - 3_600_000 }))).toBe(0);
});

test("after a reboot a deadline counts as over", () => {
  expect(remainingMs(placeDeadline(sent, start), later(1, { bootId: "b" }))).toBe(0);
});

test("a late repetition of the same deadline does not move it, another one replaces it", () => {
  const deadline = placeDeadline(sent, start);
  const repeated = replaceDeadline(deadline, placeDeadline(sent, later(3_000)));
  expect(repeated).toEqual(deadline);
  const extended = placeDeadline({ deadline: "2026-01-01T00:10:00.000Z", remainingMs: 590_000 }, later(10_000));
  expect(replaceDeadline(deadline, extended)).toEqual(extended);
});
