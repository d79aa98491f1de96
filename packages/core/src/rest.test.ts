import { expect, test } from "vitest";
import { decideHealth, type HealthFacts } from "./rest.ts";

const NOW = Date.parse("2026-01-05T12:00:00Z");
const MINUTE = 60_000;
const iso = (ms: number) => new Date(ms).toISOString();
const battery = { run: "./battery.py", every: 30, timeout: 10 };
/** Open from 8 to 18 o'clock. */
const hours = { time_zone: "UTC", open: [{ day: 0, fromMinute: 8 * 60, toMinute: 18 * 60 }] };

function decide(facts: Partial<HealthFacts>, nowMs = NOW) {
  return decideHealth({ endedAtMs: null, hasInstance: false, isWaitingForProgram: false, unfit: [], ...facts }, nowMs);
}

test("a deployment about which nothing is said never rests", () => {
  expect(decide({ endedAtMs: NOW })).toEqual({ rest: null, closesAtMs: null, changesAtMs: null });
});

test("after an instance it rests for the time of its cooldown, and not longer", () => {
  const facts = { cooldown: 300, endedAtMs: NOW - MINUTE };
  const until = NOW + 4 * MINUTE;
  expect(decide(facts)).toMatchObject({ rest: { why: "cooldown after an instance", until: iso(until) }, changesAtMs: until });
  expect(decide(facts, until)).toMatchObject({ rest: null, changesAtMs: null });
});

test("while an instance lasts, it is told already that it rests afterwards, so that nobody slips in between", () => {
  expect(decide({ cooldown: 300, hasInstance: true, endedAtMs: NOW })).toMatchObject({ rest: { until: null }, changesAtMs: null });
  expect(decide({ cooldown: battery, hasInstance: true })).toMatchObject({ rest: { until: null } });
  expect(decide({ hasInstance: true })).toMatchObject({ rest: null });
});

test("a program says when the cooldown is over", () => {
  expect(decide({ cooldown: battery, isWaitingForProgram: true })).toMatchObject({
    rest: { why: "until ./battery.py says that it is ready", until: null },
  });
  expect(decide({ cooldown: battery })).toMatchObject({ rest: null });
});

test("outside of its hours it rests until they begin, within them it says when they end", () => {
  expect(decide({ hours })).toEqual({ rest: null, closesAtMs: NOW + 6 * 60 * MINUTE, changesAtMs: NOW + 6 * 60 * MINUTE });
  const opensAtMs = Date.parse("2026-01-12T08:00:00Z");
  expect(decide({ hours }, NOW + 6 * 60 * MINUTE)).toEqual({
    rest: { why: "outside of its hours", until: iso(opensAtMs) },
    closesAtMs: null,
    changesAtMs: opensAtMs,
  });
});

test("of several reasons the one that lasts longest is told, and the nearest change is looked at", () => {
  const closed = Date.parse("2026-01-05T07:00:00Z");
  const facts = { hours, cooldown: 300, endedAtMs: closed - MINUTE };
  const cooled = closed + 4 * MINUTE;
  expect(decide(facts, closed)).toMatchObject({ rest: { why: "outside of its hours" }, changesAtMs: cooled });
  expect(decide({ ...facts, unfit: ["./lidar.py"] }, closed)).toMatchObject({ rest: { why: "until ./lidar.py passes", until: null } });
});
