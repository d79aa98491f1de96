import { Deferred, ManualClock } from "@hardshare/runtime";
import { expect, test } from "vitest";
import { type LoadedContract, parseContract } from "../contract/load-contract.ts";
import type { ProgramOutcome } from "../programs/run-program.ts";
import { type MonitorFailure, MonitorSchedule } from "./monitor-schedule.ts";

const BROKEN: ProgramOutcome = { isOk: false, message: "./m ended with exit code 1", log: "low" };

function contract(monitors: string): LoadedContract {
  return parseContract(`monitors: ${monitors}`, "robot.yaml", "/lab");
}

/** Lets what is settled be acted on. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

/** A schedule whose programs end when, and as, the test says. */
function schedule() {
  const clock = new ManualClock();
  const runs: { run: string; signal: AbortSignal; end: (outcome: ProgramOutcome) => Promise<unknown> }[] = [];
  const failures: MonitorFailure[] = [];
  const passes: string[] = [];
  const monitors = new MonitorSchedule({
    clock,
    run: async ({ run }, _index, _loaded, signal) => {
      const ended = new Deferred<ProgramOutcome>();
      signal.addEventListener("abort", () => ended.resolve(BROKEN));
      runs.push({ run, signal, end: (outcome) => (ended.resolve(outcome), settle()) });
      return ended.promise;
    },
    onFailure: (failure) => failures.push(failure),
    onPass: ({ run }, isAgain) => passes.push(`${run}${isAgain ? " again" : ""}`),
  });
  const advance = (ms: number) => (clock.advance(ms), settle());
  return { monitors, runs, failures, passes, advance, set: (text: string) => (monitors.set(contract(text)), settle()) };
}

test("a monitor runs at once, and again each time its interval is over, counted from the beginning of the last run", async () => {
  const { monitors, runs, advance, set } = schedule();
  await set("[{ run: ./m, every: 30s }]");
  expect(runs).toHaveLength(1);
  await advance(10_000);
  await runs[0]?.end({ isOk: true });
  await advance(19_999);
  expect(runs).toHaveLength(1);
  await advance(1);
  expect(runs).toHaveLength(2);
  await monitors[Symbol.asyncDispose]();
});

test("one that takes longer than its interval never runs twice at the same time", async () => {
  const { monitors, runs, advance, set } = schedule();
  await set("[{ run: ./m, every: 10s, timeout: 60s }]");
  await advance(35_000);
  expect(runs).toHaveLength(1);
  await runs[0]?.end({ isOk: true });
  await advance(0);
  expect(runs).toHaveLength(2);
  await monitors[Symbol.asyncDispose]();
});

test("monitors do not wait for each other", async () => {
  const { monitors, runs, set } = schedule();
  await set("[./a, ./b]");
  expect(runs.map(({ run }) => run)).toEqual(["./a", "./b"]);
  await monitors[Symbol.asyncDispose]();
  expect(runs.map(({ signal }) => signal.aborted)).toEqual([true, true]);
});

test("a failure is new once, and told again only after it has passed", async () => {
  const { monitors, runs, failures, passes, advance, set } = schedule();
  await set("[{ run: ./m, every: 10s }]");
  const verdicts: ProgramOutcome[] = [BROKEN, BROKEN, { isOk: true }, { isOk: true }, BROKEN];
  for (const [index, verdict] of verdicts.entries()) {
    await runs[index]?.end(verdict);
    await advance(10_000);
  }
  expect(failures.map(({ isNew, message, log }) => [isNew, message, log])).toEqual([
    [true, BROKEN.message, "low"],
    [false, BROKEN.message, "low"],
    [true, BROKEN.message, "low"],
  ]);
  expect(passes).toEqual(["./m again"]);
  await monitors[Symbol.asyncDispose]();
});

test("until they have run once monitors are pending, and one that failed is unfit until it passes, unless it only alerts", async () => {
  const { monitors, runs, advance, set } = schedule();
  await set("[{ run: ./m, on_fail: terminate, every: 5s }, ./n, { run: ./o, on_fail: alert }]");
  expect([monitors.pending, monitors.unfit]).toEqual([["./m", "./n", "./o"], []]);
  await runs[0]?.end(BROKEN);
  await runs[1]?.end(BROKEN);
  await runs[2]?.end(BROKEN);
  expect([monitors.pending, monitors.unfit]).toEqual([[], ["./m", "./n"]]);
  await advance(5000);
  await runs[3]?.end({ isOk: true });
  expect(monitors.unfit).toEqual(["./n"]);
  await monitors[Symbol.asyncDispose]();
});

test("a changed contract changes what runs, after what ran has ended; what is known of a monitor that stays is kept", async () => {
  const { monitors, runs, failures, set } = schedule();
  await set("[{ run: ./m, on_fail: terminate }, ./old]");
  await runs[0]?.end(BROKEN);
  await set("[{ run: ./m, on_fail: terminate, every: 5s }, ./new]");
  expect(runs[1]?.signal.aborted).toBe(true);
  expect(runs.slice(2).map(({ run }) => run)).toEqual(["./m", "./new"]);
  expect([monitors.pending, monitors.unfit]).toEqual([["./new"], ["./m"]]);
  await set("[{ run: ./m, on_fail: terminate, every: 5s }, ./new]");
  expect(runs).toHaveLength(4); // the same again
  expect(failures).toHaveLength(1);
  await monitors[Symbol.asyncDispose]();
});

test("one that cannot be killed is not run again: it still runs", async () => {
  const { monitors, runs, failures, advance, set } = schedule();
  await set("[{ run: ./m, every: 5s }]");
  await runs[0]?.end({ isOk: false, message: "process 7 cannot be killed", log: "", isLeft: true });
  await advance(60_000);
  expect([runs.length, failures.length]).toEqual([1, 1]);
  await monitors[Symbol.asyncDispose]();
});

test("a contract that comes and goes while the rounds before still end begins its rounds once", async () => {
  const { monitors, runs } = schedule();
  const loaded = contract("[{ run: ./m, every: 10s }]");
  for (const next of [loaded, undefined, loaded, undefined, loaded]) monitors.set(next);
  await settle();
  await settle();
  expect(runs.filter(({ signal }) => !signal.aborted)).toHaveLength(1);
  await monitors[Symbol.asyncDispose]();
  expect(runs.every(({ signal }) => signal.aborted)).toBe(true);
});
