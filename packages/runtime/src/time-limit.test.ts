import { once } from "node:events";
import { setImmediate } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { withTimeLimit } from "./time-limit.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

test("comes at its time, also when memory was tidied up meanwhile", async () => {
  const signal = withTimeLimit(new AbortController().signal, 100);
  const aborted = once(signal, "abort");
  for (let times = 0; times < 3; times += 1) {
    await setImmediate();
    collectGarbage();
  }
  await aborted;
  expect(signal.reason).toMatchObject({ name: "TimeoutError" });
});

test("comes with the other signal, and with its reason", async () => {
  const stop = new AbortController();
  const signal = withTimeLimit(stop.signal, 60_000);
  stop.abort("enough");
  expect(signal.reason).toBe("enough");
});
