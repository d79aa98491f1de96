import { once } from "node:events";
import { tidyMemory } from "@hardshare/testkit/tidy-memory";
import { expect, test } from "vitest";
import { withTimeLimit } from "./time-limit.ts";

test("comes at its time, also when memory was tidied up meanwhile", async () => {
  const signal = withTimeLimit(new AbortController().signal, 100);
  const aborted = once(signal, "abort");
  await tidyMemory();
  await aborted;
  expect(signal.reason).toMatchObject({ name: "TimeoutError" });
});

test("comes with the other signal, and with its reason", async () => {
  const stop = new AbortController();
  const signal = withTimeLimit(stop.signal, 60_000);
  stop.abort("enough");
  expect(signal.reason).toBe("enough");
});
