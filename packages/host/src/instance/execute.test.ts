import { AppError } from "@hardshare/protocol";
import { Deferred, noFailpoints, systemClock } from "@hardshare/runtime";
import { expect, test } from "vitest";
import { executeEnd, executeLaunch, type StepAction } from "./execute.ts";
import type { Plan } from "./plan.ts";

type Name = "a" | "b" | "c";
const plan: Plan<Name> = [
  { name: "a", after: [] },
  { name: "b", after: [] },
  { name: "c", after: ["a", "b"] },
];
const never = new AbortController().signal;

function run(actions: Partial<Record<Name, StepAction>>, signal: AbortSignal = never, broken: AbortSignal = never) {
  const events: string[] = [];
  const all = { a: async () => {}, b: async () => {}, c: async () => {}, ...actions };
  const reporter = {
    step: (step: string, phase: string) => events.push(`${step} ${phase}`),
    log: (step: string, text: string) => events.push(`${step}: ${text}`),
  };
  const options = { plan, actions: all, reporter, failpoints: noFailpoints, clock: systemClock };
  return { events, launch: () => executeLaunch({ ...options, signal, broken }), end: () => executeEnd(options) };
}

/** Fails when its signal is aborted, as a well-behaved step does. */
const untilAborted: StepAction = ({ signal }) =>
  new Promise((_resolve, reject) => {
    const stop = () => reject(new AppError("cancelled", "stopped"));
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
  });

test("steps that don't depend on each other run at the same time", async () => {
  const meet = { a: new Deferred(), b: new Deferred() };
  const { launch, events } = run({
    a: async () => (meet.a.resolve(), meet.b.promise),
    b: async () => (meet.b.resolve(), meet.a.promise),
  });
  expect(await launch()).toEqual({ kind: "done" });
  expect(events).toEqual(["a started", "b started", "a done", "b done", "c started", "c done"]);
});

test("a failure stops the steps that run, waits for them, and begins no other", async () => {
  let hasStopped = false;
  const { launch, events } = run({
    a: async () => Promise.reject(new AppError("device_missing", "no arm")),
    b: async (context) => {
      await untilAborted(context).catch(() => {});
      await Promise.resolve();
      hasStopped = true;
      throw new AppError("cancelled", "stopped");
    },
  });
  expect(await launch()).toMatchObject({ kind: "failed", step: "a", error: { code: "device_missing" } });
  expect(hasStopped).toBe(true);
  expect(events).toEqual(["a started", "b started", "a failed", "b skipped"]);
});

test("cancelling stops what runs and is no failure", async () => {
  const cancel = new AbortController();
  const { launch, events } = run({ a: untilAborted, b: async () => cancel.abort() }, cancel.signal);
  expect(await launch()).toEqual({ kind: "cancelled" });
  expect(events).toContain("a skipped");
  expect(events).not.toContain("c started");
});

test("a step that fails while the launch is cancelled is told when it locks the deployment out", async () => {
  const cancel = new AbortController();
  const fail = (locks: boolean) => async () => {
    cancel.abort();
    throw new AppError("program_failed", "jammed", { details: { locks } });
  };
  const locking = run({ a: fail(true) }, cancel.signal);
  expect(await locking.launch()).toMatchObject({ kind: "cancelled", failure: { step: "a", error: { message: "jammed" } } });
  expect(locking.events).toContain("a failed");
  expect(await run({ a: fail(false) }, cancel.signal).launch()).toEqual({ kind: "cancelled" });
});

test("when what a finished step made breaks, the launch fails in that step", async () => {
  const broken = new AbortController();
  const { launch, events } = run(
    {
      c: async (context) => {
        broken.abort({ step: "a", error: new AppError("program_failed", "it died") });
        await untilAborted(context).catch(() => {});
        throw new AppError("cancelled", "stopped");
      },
    },
    never,
    broken.signal,
  );
  expect(await launch()).toMatchObject({ kind: "failed", step: "a", error: { message: "it died" } });
  expect(events).toEqual(["a started", "b started", "a done", "b done", "c started", "c skipped", "a failed"]);
});

test("an end goes on whatever fails, and tells what is left", async () => {
  const { end, events } = run({ a: async () => Promise.reject(new Error("stuck")) });
  expect(await end()).toEqual(["a: stuck"]);
  expect(events).toEqual(["b undone", "a undo_failed", "c undone"]);
});
