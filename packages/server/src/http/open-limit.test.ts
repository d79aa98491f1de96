import { expect, test } from "vitest";
import { OpenLimit } from "./open-limit.ts";

test("so many are open for each key and in all; what ends makes room, once", () => {
  const limit = new OpenLimit({ what: "streams", total: 3, perKey: 2 });
  const first = limit.enter("a");
  limit.enter("a");
  expect(() => limit.enter("a")).toThrow("2 streams of yours are open already");
  limit.enter("b");
  expect(() => limit.enter("c")).toThrow("too many streams");
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  limit.enter("c");
  expect(() => limit.enter("d")).toThrow("too many streams");
});
