import { ManualClock } from "@hardshare/runtime";
import { expect, test } from "vitest";
import { HUNG_AFTER_MS, PulseWatch } from "./pulse-watch.ts";

function start() {
  const clock = new ManualClock();
  let hung = 0;
  const watch = new PulseWatch({ clock, onHung: () => (hung += 1) });
  return { clock, watch, hung: () => hung };
}

test("a program that never gave a pulse is not judged by it", () => {
  const { clock, hung } = start();
  clock.advance(3_600_000);
  expect(hung()).toBe(0);
});

test("it hangs, once, when no pulse came for two seconds after the last", () => {
  const { clock, watch, hung } = start();
  watch.pulse();
  for (let n = 0; n < 10; n++) {
    clock.advance(HUNG_AFTER_MS - 1);
    watch.pulse();
  }
  clock.advance(HUNG_AFTER_MS - 1);
  expect(hung()).toBe(0);
  clock.advance(1);
  expect(hung()).toBe(1);
  watch.pulse();
  clock.advance(60_000);
  expect(hung()).toBe(1);
});

test("while this process did not run it could not hear anything: that time counts as one slice", () => {
  // Timers that fire when the test says so, however late.
  const timers = new Set<() => void>();
  const after = (_delayMs: number, run: () => void) => {
    timers.add(run);
    return { [Symbol.dispose]: () => void timers.delete(run) };
  };
  const fire = (times: number) => {
    for (let n = 0; n < times; n++) {
      const [next] = timers;
      timers.clear();
      next?.();
    }
  };
  let hung = 0;
  const watch = new PulseWatch({ clock: { now: () => 0, monotonicMs: () => 0, after }, onHung: () => (hung += 1) });
  watch.pulse();
  fire(7);
  expect(hung).toBe(0);
  watch.pulse(); // it waited in the pipe
  fire(7);
  expect(hung).toBe(0);
  fire(1);
  expect(hung).toBe(1);
});
