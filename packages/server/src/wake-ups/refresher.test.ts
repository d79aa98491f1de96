import { expect, test } from "vitest";
import { Refresher } from "./refresher.ts";

/** A refresher whose looks end when the test says so. */
function controlled() {
  const looks: (string | null)[] = [];
  const failures: unknown[] = [];
  let finish: (error?: Error) => void = () => {};
  const refresher = new Refresher(
    (detail) => {
      looks.push(detail);
      return new Promise((resolve, reject) => (finish = (error) => (error === undefined ? resolve() : reject(error))));
    },
    (error) => failures.push(error),
  );
  const settle = async (error?: Error) => {
    finish(error);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { refresher, looks, failures, settle };
}

test("what changes while it looks is looked at once more, however often it changed", async () => {
  const { refresher, looks, settle } = controlled();
  refresher.request("a");
  for (let count = 0; count < 5; count += 1) refresher.request("a");
  refresher.request("b");
  await settle();
  await settle();
  await settle();
  expect(looks).toEqual(["a", "a", "b"]);
});

test("a look at everything makes those at single places needless", async () => {
  const { refresher, looks, settle } = controlled();
  refresher.request("a");
  refresher.request("b");
  refresher.request(null);
  await settle();
  await settle();
  expect(looks).toEqual(["a", null]);
});

test("a failure is told, and the next request looks again", async () => {
  const { refresher, looks, failures, settle } = controlled();
  refresher.request("a");
  await settle(new Error("store gone"));
  expect(failures).toHaveLength(1);
  refresher.request("b");
  await settle();
  expect(looks).toEqual(["a", "b"]);
});

test("once stopped it looks no more, and stopping waits for the look under way", async () => {
  const { refresher, looks, settle } = controlled();
  refresher.request("a");
  refresher.request("b");
  const stopped = refresher.stop();
  await settle();
  await stopped;
  refresher.request("c");
  expect(looks).toEqual(["a"]);
});
