/**
 * Tests of what happens when a part fails. Each declares its row of docs/what-happens-when.md, and measures how long it
 * takes until all is well again; `npm run record` writes that to e2e/failures.json, from which the page is made.
 */
import { readFile, writeFile } from "node:fs/promises";
import { availableParallelism, loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

/** One row of the page. Literals only: `npm run gen` reads them from the source of the test. */
export interface Failure {
  /** What fails. */
  component: "server" | "hub" | "host" | "robot" | "network";
  /** How it fails, and when: with the component it names the row. */
  failure: string;
  userSees: string;
  survives: string;
  /** Id of the promise that is kept (promises.md). */
  promise: `G${number}`;
  /** What the time counts from and to. */
  recovery: string;
  /** The most that it may take, on a machine that has nothing else to do. */
  withinMs: number;
}

/** Measures the time to recover of one failure. */
export class Recovery {
  #beganAt: number | undefined;
  #ms: number | undefined;

  /** Now begins what the row says the time counts from. */
  begin(): void {
    this.#beganAt = performance.now();
  }

  /** It began at this wall time, in milliseconds since 1970. */
  since(wallMs: number): void {
    this.#beganAt = performance.now() - (Date.now() - wallMs);
  }

  /** All is well again. */
  end(): void {
    if (this.#beganAt === undefined) throw new Error("the time to recover has not begun");
    this.#ms = performance.now() - this.#beganAt;
  }

  get ms(): number {
    if (this.#ms === undefined) throw new Error("the test never said that all is well again");
    return Math.round(this.#ms);
  }
}

/** What was measured, in e2e/failures.json. */
interface Recorded {
  recordedOn: string;
  recoveredMs: Record<string, number>;
}

/** How many times as long everything takes here because processes wait for a processor; 1 when none does. */
function busyness(): number {
  return Math.max(1, (loadavg()[0] ?? 0) / availableParallelism());
}

const FILE = fileURLToPath(new URL("../failures.json", import.meta.url));
/** Set by `npm run record`. */
const IS_RECORDING = process.env["HARDSHARE_RECORD"] !== undefined;

/** Whether cases that take long are not left out (`npm run test:long`). */
export const IS_LONG_RUN = process.env["HARDSHARE_LONG"] !== undefined;

/** A test of one failure. @param options.isLong left out of runs that are not long */
export function testFailure(
  failure: Failure,
  body: (recovery: Recovery) => Promise<void>,
  { isLong = false }: { isLong?: boolean } = {},
): void {
  const name = `${failure.component}: ${failure.failure}`;
  // Not skipped: in CI's time this case is not part of the suite.
  if (isLong && !IS_LONG_RUN) return;
  test(name, async () => {
    const recovery = new Recovery();
    await body(recovery);
    const { ms } = recovery;
    expect(ms, `${failure.promise}: ${failure.recovery}`).toBeLessThanOrEqual(failure.withinMs * busyness());
    process.stdout.write(
      `  injected: ${name}; checked: ${failure.survives}; ${failure.recovery}: ${ms} ms of at most ${failure.withinMs} ms (${failure.promise})\n`,
    );
    const recorded = JSON.parse(await readFile(FILE, "utf8")) as Recorded;
    if (!IS_RECORDING) return expect(recorded.recoveredMs, "not in e2e/failures.json: `npm run record` measures it").toHaveProperty([name]);
    recorded.recoveredMs[name] = ms;
    await writeFile(FILE, `${JSON.stringify(recorded, undefined, 2)}\n`);
  });
}
