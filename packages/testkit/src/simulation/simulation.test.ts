import { describe, expect, test } from "vitest";
import { simulate } from "./simulate.ts";

/** In CI the same seeds each time, so that what fails there fails again; `npm run test:long` draws others. */
const isLong = process.env["HARDSHARE_LONG"] !== undefined;
const FIRST = isLong ? Math.floor(Math.random() * 2 ** 31) : 1;
const BATCHES = isLong ? 200 : 10;
const BATCH = isLong ? 100 : 20;

const batches = Array.from({ length: BATCHES }, (_, index) => FIRST + index * BATCH);

describe("whatever goes wrong, one epoch at a time acts, every instance ends, and everything comes to rest", () => {
  test.each(batches)(`seeds from %i on`, { timeout: 600_000 }, async (first) => {
    let [faults, launches, deeds] = [0, 0, 0];
    for (let seed = first; seed < first + BATCH; seed += 1) {
      const result = await simulate(seed);
      expect(result.problems, `npm run simulate -- ${seed} (${result.kinds.join(", ")})`).toEqual([]);
      faults += result.faults;
      launches += result.launches;
      deeds += result.deeds;
    }
    process.stdout.write(
      `seeds ${first}–${first + BATCH - 1}: ${faults} faults, ${launches} launches, ${deeds} deeds at devices, none amiss\n`,
    );
  });
});

test("a seed gives the same run again", async () => {
  const [once, again] = [await simulate(FIRST), await simulate(FIRST)];
  expect(again.trace.lines).toEqual(once.trace.lines);
});
