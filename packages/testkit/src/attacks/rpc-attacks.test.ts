import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rpcFilterKind } from "@hardshare/filters";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DRIVE_LIMITS, makeConversation } from "./attack-requests.ts";
import { type AttackedFilter, startAttackedFilter } from "./attacked-filter.ts";
import { say } from "./say.ts";
import { type ReadRequest, readStrictly } from "./strict-reader.ts";

const RULES = `
rules:
  - allow: GET /api/sensors
    run: [./record, sensors]
  - allow: POST /api/drive/time
    run: [./record, drive, "--turn={AngularVelocity}", --, "{LinearVelocity}", "{TimeMS}"]
${DRIVE_LIMITS}`;

/** How many arguments there are, then each, in one write. */
const RECORD = `#!/bin/sh
printf '%s\\0' "$#" "$@" >> "\${0%/*}/ledger"
`;

const isLong = process.env["HARDSHARE_LONG"] !== undefined;
/** Calls that the filter judges: each that it allows starts a program. */
const CASES = isLong ? 200_000 : 500;

let folder: string;
let filter: AttackedFilter;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hardshare-attacks-"));
  await writeFile(join(folder, "record"), RECORD, { mode: 0o755 });
  await writeFile(join(folder, "lab.rules.yaml"), RULES);
  filter = await startAttackedFilter(rpcFilterKind(), join(folder, "lab.rules.yaml"));
});
afterAll(async () => {
  await filter?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

async function readLedger(): Promise<string[][]> {
  const words = (await readFile(join(folder, "ledger"), "utf8")).split("\0").slice(0, -1);
  const calls: string[][] = [];
  for (let at = 0; at < words.length; at += 1 + Number(words[at])) calls.push(words.slice(at + 1, at + 1 + Number(words[at])));
  return calls;
}

/** The owner's rules once more, in other words. */
function mayPass({ method, target }: ReadRequest): boolean {
  return method === "GET" ? target === "/api/sensors" : method === "POST" && target === "/api/drive/time";
}

function mayBeRun([name, ...args]: readonly string[]): boolean {
  if (name === "sensors") return args.length === 0;
  const turn = args[0] === "--" ? "--turn=0" : (args.shift() ?? "");
  const [dashes, speed, ms, ...others] = args;
  return (
    name === "drive" &&
    dashes === "--" &&
    others.length === 0 &&
    /^--turn=-?[\d.]+$/.test(turn) &&
    Math.abs(Number(turn.slice("--turn=".length))) <= 10 &&
    Math.abs(Number(speed)) <= 8 &&
    /^[1-9]\d{2,3}$/.test(ms ?? "") &&
    Number(ms) <= 5000
  );
}

test(
  "whatever comes, only procedures that the rules allow are run, with arguments that they allow",
  async () => {
    const judged = { allowed: 0, blocked: 0 };
    const seed = Number(process.env["FUZZ_SEED"] ?? (isLong ? Date.now() % 1_000_000 : 42));
    for (let round = 0; judged.allowed + judged.blocked < CASES; round += 1) {
      await fc.assert(
        fc.asyncProperty(fc.integer(), async (number) => {
          const { bytes, cuts } = makeConversation(number);
          filter.decisions.length = 0;
          const read = readStrictly(bytes);
          await say(filter.port, { bytes, cuts }, read.isIncomplete);
          const passed = filter.decisions.filter(({ decision }) => decision === "allow");
          judged.allowed += passed.length;
          judged.blocked += filter.decisions.length - passed.length;
          for (const { summary } of passed) {
            expect(read.requests.some((request) => `${request.method} ${request.target}` === summary && mayPass(request))).toBe(true);
          }
        }),
        { numRuns: 100, interruptAfterTimeLimit: 600_000, seed: seed + round },
      );
    }
    const calls = await readLedger();
    for (const call of calls) expect(call, JSON.stringify(call)).toSatisfy(mayBeRun);
    expect(calls.length).toBeLessThanOrEqual(judged.allowed);
    expect(calls.length).toBeGreaterThan(CASES / 100);
  },
  isLong ? 24 * 3_600_000 : 1_800_000,
);
