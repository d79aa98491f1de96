import { type ChildProcess, spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { expect, test, vi } from "vitest";
import { type Clock, ManualClock } from "./clock.ts";
import { endProcessGroup } from "./programs.ts";

/** Above the largest process id of Linux (2^22): signals to it go nowhere. */
const NOBODY = 2 ** 22 + 1;

test("a process that goes on after SIGKILL is given up after two seconds", async () => {
  const child = Object.assign(new EventEmitter(), { pid: NOBODY, exitCode: null, signalCode: null }) as unknown as ChildProcess;
  const clock = new ManualClock();
  const given = expect(endProcessGroup(child, 1000, clock)).rejects.toMatchObject({ message: `process ${NOBODY} cannot be killed` });
  clock.advance(1000);
  clock.advance(2000);
  await given;
});

test("a process that ends on SIGTERM is waited for, and no timer is left", async () => {
  let armed = 0;
  const clock: Clock = {
    now: () => 0,
    monotonicMs: () => 0,
    after: () => {
      armed += 1;
      return { [Symbol.dispose]: () => (armed -= 1) };
    },
  };
  const child = spawn("sleep", ["60"], { detached: true, stdio: "ignore" });
  await once(child, "spawn");
  await endProcessGroup(child, 1000, clock);
  expect(child.signalCode).toBe("SIGTERM");
  expect(armed).toBe(0);
});

test("what another user's program left in the group is told", async () => {
  const child = spawn("true", { detached: true, stdio: "ignore" });
  await once(child, "exit");
  const kill = vi.spyOn(process, "kill").mockImplementation(() => {
    throw Object.assign(new Error("operation not permitted"), { code: "EPERM" });
  });
  let nowMs = 0;
  const hurried: Clock = {
    now: () => nowMs,
    monotonicMs: () => nowMs,
    after: (delayMs, run) => {
      nowMs += delayMs;
      queueMicrotask(run);
      return { [Symbol.dispose]: () => {} };
    },
  };
  try {
    await expect(endProcessGroup(child, 0, hurried)).rejects.toMatchObject({ message: `process ${child.pid} cannot be killed` });
  } finally {
    kill.mockRestore();
  }
});
