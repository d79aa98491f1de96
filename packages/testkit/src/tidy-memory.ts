/** Garbage, for tests of what must not be collected. */
import { setImmediate } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** Collects what nobody holds any more, also what was still on its way to become garbage. */
export async function tidyMemory(): Promise<void> {
  for (let times = 0; times < 3; times += 1) {
    await setImmediate();
    collectGarbage();
  }
}
