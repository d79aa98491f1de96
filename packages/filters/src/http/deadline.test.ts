import { ManualClock } from "@hardshare/runtime";
import { expect, test } from "vitest";
import { Deadline } from "./deadline.ts";

/** A clock that counts the timers that were set. */
class CountingClock extends ManualClock {
  timers = 0;

  override after(delayMs: number, run: () => void): Disposable {
    this.timers += 1;
    return super.after(delayMs, run);
  }
}

test("a deadline that moves on is kept with one timer, and runs once, at its time", () => {
  const clock = new CountingClock();
  const ran: number[] = [];
  const deadline = new Deadline(clock);
  for (let second = 0; second < 9; second += 1) {
    deadline.set(10_000, () => ran.push(clock.monotonicMs()));
    clock.advance(1000);
  }
  expect(clock.timers).toBe(1);
  clock.advance(60_000);
  expect(ran).toEqual([18_000]);
});

test("a deadline that moves nearer is kept", () => {
  const clock = new ManualClock();
  const ran: string[] = [];
  const deadline = new Deadline(clock);
  deadline.set(60_000, () => ran.push("far"));
  deadline.set(1000, () => ran.push("near"));
  clock.advance(1000);
  expect(ran).toEqual(["near"]);
  clock.advance(60_000);
  expect(ran).toEqual(["near"]);
});

test("a deadline that was cleared, or disposed of, does not run", () => {
  const clock = new ManualClock();
  const ran: string[] = [];
  const deadline = new Deadline(clock);
  deadline.set(1000, () => ran.push("cleared"));
  deadline.clear();
  clock.advance(2000);
  deadline.set(1000, () => ran.push("disposed"));
  deadline[Symbol.dispose]();
  clock.advance(2000);
  expect(ran).toEqual([]);
});
