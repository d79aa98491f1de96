import { expect, test } from "vitest";
import { Deferred } from "./deferred.ts";
import { Turns } from "./turns.ts";

test("no more than the limit run at the same time, in order, and a failure passes its turn on", async () => {
  const turns = new Turns(2);
  const begun: number[] = [];
  const ends = [0, 1, 2, 3].map(() => new Deferred());
  const works = ends.map((end, index) =>
    turns.take(async () => {
      begun.push(index);
      await end.promise;
    }),
  );
  expect(begun).toEqual([0, 1]);
  ends[1]?.reject(new Error("fails"));
  await expect(works[1]).rejects.toThrow("fails");
  expect(begun).toEqual([0, 1, 2]);
  for (const end of ends) end.resolve();
  await Promise.all([works[0], works[2], works[3]]);
  expect(begun).toEqual([0, 1, 2, 3]);
});
