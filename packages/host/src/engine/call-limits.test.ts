import { ManualClock } from "@hardshare/runtime";
import { expect, test } from "vitest";
import { orAborted, runLimited } from "./call-limits.ts";

const DAY_MS = 86_400_000;
const forever = (signal: AbortSignal) => orAborted(new Promise<never>(() => {}), signal);

test("a limit of weeks is not over at once", async () => {
  const isOver = runLimited("wait", { timeoutMs: 30 * DAY_MS }, async (signal) => {
    // The shortest timer there is, set later: one that overflowed has fired before.
    await new Promise((resolve) => setTimeout(resolve, 1));
    return signal.aborted;
  });
  expect(await isOver).toBe(false);
});

test("a call that takes longer than its limit is ended with what was done", async () => {
  const clock = new ManualClock();
  const ended = expect(runLimited("wait", { timeoutMs: 30 * DAY_MS }, forever, clock)).rejects.toMatchObject({ code: "timed_out" });
  clock.advance(30 * DAY_MS);
  await ended;
});
