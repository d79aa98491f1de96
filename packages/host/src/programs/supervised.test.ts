import { BackOff, Deferred, ManualClock, systemRandom } from "@hardshare/runtime";
import { expect, test } from "vitest";
import { Supervised } from "./supervised.ts";

test("while what one that ended left behind cannot be killed, no other is started beside it, and disposing tells it", async () => {
  const clock = new ManualClock();
  const ended = new Deferred<string>();
  const stuck = () => Promise.reject(new Error("process 7 cannot be killed"));
  const lost: string[] = [];
  let started = 0;
  const told = new Deferred();
  const supervised = await Supervised.start(
    {
      start: async () => {
        started += 1;
        return { ended: ended.promise, [Symbol.asyncDispose]: stuck };
      },
      backOff: new BackOff({ firstMs: 1, maxMs: 1, random: systemRandom }),
      clock,
      onLost: (how) => {
        lost.push(how);
        if (lost.length === 2) told.resolve();
      },
      onRestored: () => {},
    },
    new AbortController().signal,
  );
  ended.resolve("it ended");
  await told.promise;
  clock.advance(1000);
  expect(lost).toEqual(["it ended", "process 7 cannot be killed; it is not started again"]);
  expect(started).toBe(1);
  await expect(supervised[Symbol.asyncDispose]()).rejects.toThrow("process 7 cannot be killed");
});
