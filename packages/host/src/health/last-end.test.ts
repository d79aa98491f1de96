import { ManualClock } from "@hardshare/runtime";
import { expect, test } from "vitest";
import { LastEnd } from "./last-end.ts";

const START = Date.UTC(2026, 0, 1);

/** A clock that people set. */
class SetClock extends ManualClock {
  jumpedMs = 0;
  override now(): number {
    return super.now() + this.jumpedMs;
  }
}
const isoAt = (ms: number) => new Date(ms).toISOString();

test("it is as the journal says, while the clock does not jump", () => {
  const clock = new SetClock(START);
  const end = new LastEnd(clock);
  expect(end.atMs(undefined)).toBeNull();
  expect(end.atMs(isoAt(START - 1000))).toBe(START - 1000);
  clock.advance(60_000);
  expect(end.atMs(isoAt(START - 1000))).toBe(START - 1000);
});

test("when the clock is put back or forward, the hardware rests neither longer nor shorter", () => {
  const clock = new SetClock(START);
  const end = new LastEnd(clock);
  end.atMs(isoAt(START));
  clock.advance(10_000);
  for (clock.jumpedMs of [-3_600_000, 3_600_000]) expect(clock.now() - (end.atMs(isoAt(START)) ?? 0)).toBe(10_000);
});

test("an end that lies in the future counts from when it was first looked at", () => {
  const clock = new SetClock(START);
  const end = new LastEnd(clock);
  expect(end.atMs(isoAt(START + 86_400_000))).toBe(START);
  clock.advance(5000);
  expect(end.atMs(isoAt(START + 86_400_000))).toBe(START);
  expect(end.atMs(isoAt(START + 4000))).toBe(START + 4000); // that of another instance
});
