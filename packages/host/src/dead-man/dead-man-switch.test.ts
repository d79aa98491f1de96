import { ManualClock } from "@hardshare/runtime";
import { beforeEach, expect, test } from "vitest";
import { DeadManSwitch } from "./dead-man-switch.ts";

const WINDOW_MS = 2000;
let clock: ManualClock;
let firedAtMs: number[];
let armed: DeadManSwitch;

beforeEach(() => {
  clock = new ManualClock();
  firedAtMs = [];
  armed = new DeadManSwitch({ windowMs: WINDOW_MS, clock, onSilence: () => firedAtMs.push(clock.monotonicMs()) });
});

function pass(ms: number): void {
  for (let passed = 0; passed < ms; passed += 10) clock.advance(10);
}

test("it is armed by a message, not by a sign of life, and fires once within 200 ms after the window", () => {
  armed.hear();
  pass(10_000);
  expect(firedAtMs).toEqual([]);
  armed.arm();
  const startMs = clock.monotonicMs();
  pass(WINDOW_MS - 10);
  expect(firedAtMs).toEqual([]);
  pass(10_000);
  expect(firedAtMs).toHaveLength(1);
  expect(firedAtMs[0]).toBeGreaterThanOrEqual(startMs + WINDOW_MS);
  expect(firedAtMs[0]).toBeLessThanOrEqual(startMs + WINDOW_MS + 200);
});

test("it never fires while somebody is heard, by messages or by signs of life, and is armed anew by the next message", () => {
  armed.arm();
  for (let count = 0; count < 50; count += 1) {
    pass(WINDOW_MS - 10);
    if (count % 2 === 0) armed.hear();
    else armed.arm();
  }
  expect(firedAtMs).toEqual([]);
  pass(WINDOW_MS + 200);
  expect(firedAtMs).toHaveLength(1);
  armed.hear();
  pass(WINDOW_MS * 3);
  expect(firedAtMs).toHaveLength(1);
  armed.arm();
  pass(WINDOW_MS + 200);
  expect(firedAtMs).toHaveLength(2);
});

test("what was heard long ago counts from then on", () => {
  armed.arm();
  pass(1000);
  armed.hear(800);
  const heardAtMs = clock.monotonicMs() - 800;
  pass(WINDOW_MS);
  expect(firedAtMs[0]).toBeLessThanOrEqual(heardAtMs + WINDOW_MS + 200);
});

test("a process that was stopped for longer than the window reads first what came meanwhile", () => {
  // Its timers fire late and all at once, before anything is read.
  let nowMs = 0;
  let timers: { run: () => void }[] = [];
  const late = {
    now: () => nowMs,
    monotonicMs: () => nowMs,
    after(_delayMs: number, run: () => void) {
      const timer = { run };
      timers.push(timer);
      return { [Symbol.dispose]: () => void (timers = timers.filter((each) => each !== timer)) };
    },
  };
  let hasFired = false;
  const stopped = new DeadManSwitch({ windowMs: WINDOW_MS, clock: late, onSilence: () => (hasFired = true) });
  const fire = () => {
    for (const { run } of timers.splice(0)) run();
  };
  stopped.arm();
  nowMs = 5 * WINDOW_MS;
  fire();
  stopped.arm(10); // what waited in a pipe
  fire();
  expect(hasFired).toBe(false);
  nowMs += WINDOW_MS;
  fire();
  fire();
  expect(hasFired).toBe(true);
});
