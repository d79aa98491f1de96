import { Contract } from "@hardshare/protocol";
import { Deferred, ManualClock } from "@hardshare/runtime";
import { beforeEach, expect, test } from "vitest";
import type { Hold } from "./instance-parts.ts";
import { Losses } from "./losses.ts";

const contract = Contract.parse({ safe_state: ["./safe.sh"] });
let parts: { contract: Contract; safeState: Promise<void>; holdServices: () => Hold };
/** How many hold the services. */
let holds: number;
/** Settles when nothing passes any more. */
let settled: Promise<void>;
let isEnding: boolean;
/** The runs of the programs for the safe state, each until the test lets it end. */
let runs: Deferred[];
let begun: Deferred;
let losses: Losses;

beforeEach(() => {
  holds = 0;
  const holdServices = () => {
    holds += 1;
    return { settled, release: () => void (holds -= 1) };
  };
  settled = Promise.resolve();
  parts = { contract, safeState: Promise.resolve(), holdServices };
  isEnding = false;
  runs = [];
  begun = new Deferred();
  losses = new Losses({
    parts,
    runPrograms: async () => {
      const run = new Deferred();
      runs.push(run);
      begun.resolve();
      await run.promise;
    },
    clock: new ManualClock(),
    reporter: { step: () => {}, log: () => {} },
    notice: () => {},
    isEnding: () => isEnding,
    onUnsafe: async () => {},
  });
});

function flap(): void {
  losses.onServiceLost("ROBOT", "it ended");
  losses.onServiceRestored("ROBOT");
}

test("however often a service is lost while the hardware is made safe, it is made safe once more, and not at the same time", async () => {
  flap();
  await begun.promise;
  begun = new Deferred();
  for (let n = 0; n < 100; n++) flap();
  expect(runs).toHaveLength(1);
  runs[0]?.resolve();
  await begun.promise;
  runs[1]?.resolve();
  await parts.safeState;
  expect(runs).toHaveLength(2);
});

test("nothing passes from the loss of a service until the hardware is safe, although the service runs again before", async () => {
  flap();
  expect(holds).toBe(1);
  await begun.promise;
  begun = new Deferred();
  flap();
  runs[0]?.resolve();
  await begun.promise;
  expect(holds).toBe(1); // for the run that answers for the second loss
  runs[1]?.resolve();
  await parts.safeState;
  expect(holds).toBe(0);
});

test("an end waits for the programs that run, not for those that wait", async () => {
  flap();
  await begun.promise;
  flap();
  isEnding = true;
  runs[0]?.resolve();
  await parts.safeState;
  expect(runs).toHaveLength(1);
});

test("the hardware is made safe when nothing passes any more of what a filter had read, not before", async () => {
  const cut = new Deferred();
  settled = cut.promise;
  flap();
  await new Promise((resolve) => setImmediate(resolve));
  expect(runs).toHaveLength(0);
  cut.resolve();
  await begun.promise;
  runs[0]?.resolve();
  await parts.safeState;
});
