import type { LedgerEntry } from "@hardshare/sim";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DRIVE_LIMITS, makeConversation } from "./attack-requests.ts";
import { type AttackedRobot, startAttackedRobot } from "./attacked-robot.ts";
import { say } from "./say.ts";
import { type ReadRequest, readStrictly } from "./strict-reader.ts";

const RULES = `
rules:
  - allow: GET /api/sensors
  - allow: POST /api/drive/time
${DRIVE_LIMITS}`;

const isLong = process.env["HARDSHARE_LONG"] !== undefined;
/** Messages that the filter judges. */
const CASES = Number(process.env["FUZZ_CASES"] ?? (isLong ? 10_000_000 : 100_000));
const CONVERSATIONS_AT_ONCE = 1000;

let robot: AttackedRobot;
beforeAll(async () => {
  robot = await startAttackedRobot(RULES);
});
afterAll(() => robot?.[Symbol.asyncDispose]());

/** The owner's rules once more, in other words. */
function mayPass({ method, target, body }: ReadRequest): boolean {
  if (method === "GET") return /^\/api\/sensors(?:\?|$)/.test(target) && body === "";
  if (method !== "POST" || target !== "/api/drive/time") return false;
  try {
    const drive = JSON.parse(Buffer.from(body, "latin1").toString()) as Record<string, number>;
    const { LinearVelocity: speed = Number.NaN, TimeMS: ms = Number.NaN, AngularVelocity: turn = 0, ...others } = drive;
    return (
      Math.abs(speed) <= 12 && Math.abs(turn) <= 10 && ms >= 100 && ms <= 5000 && Number.isInteger(ms) && Object.keys(others).length === 0
    );
  } catch {
    return false;
  }
}

function mayBeInLedger({
  action,
  arguments: { LinearVelocity: speed, TimeMS: ms, AngularVelocity: turn = 0, ...others },
}: LedgerEntry): boolean {
  if (action === "GET /api/sensors") return true;
  if (action !== "POST /api/drive/time" || Object.keys(others).length > 0) return false;
  return Math.abs(speed as number) <= 8 && Math.abs(turn as number) <= 10 && (ms as number) >= 100 && (ms as number) <= 5000;
}

test(
  "whatever comes, the robot gets only what the rules allow, and only what a second strict parser reads in the same way",
  async () => {
    const judged = { allowed: 0, blocked: 0, reached: 0, conversations: 0 };
    const seed = Number(process.env["FUZZ_SEED"] ?? (isLong ? Date.now() % 1_000_000 : 42));
    for (let round = 0; judged.allowed + judged.blocked < CASES; round += 1) {
      const allowed: string[] = [];
      await fc.assert(
        fc.asyncProperty(fc.integer(), async (number) => {
          const { bytes, cuts } = makeConversation(number);
          robot.decisions.length = 0;
          const read = readStrictly(bytes);
          await say(robot.port, { bytes, cuts }, read.isIncomplete);
          judged.conversations += 1;
          const passed = robot.decisions.filter(({ direction, decision }) => direction === "in" && decision === "allow");
          judged.allowed += passed.length;
          judged.blocked += robot.decisions.length - passed.length;
          for (const [index, { summary }] of passed.entries()) {
            const request = read.requests[index];
            // Not by `expect` each time, which takes longer than the filter does.
            const isRight = request !== undefined && `${request.method} ${request.target}` === summary && mayPass(request);
            if (!isRight) expect.fail(`passed: ${summary}; read by the strict reader: ${JSON.stringify(request)}`);
            allowed.push(summary.split("?", 1)[0] ?? "");
          }
        }),
        { numRuns: CONVERSATIONS_AT_ONCE, interruptAfterTimeLimit: 600_000, seed: seed + round },
      );
      const entries = await robot.readLedger();
      judged.reached += entries.length;
      let next = 0;
      for (const entry of entries) {
        if (!mayBeInLedger(entry)) expect.fail(`reached the robot: ${JSON.stringify(entry)}`);
        while (next < allowed.length && allowed[next] !== entry.action) next += 1; // its client had left before it was sent
        if (next === allowed.length) expect.fail(`reached the robot, but was not allowed: ${JSON.stringify(entry)}`);
        next += 1;
      }
    }
    // oxlint-disable-next-line no-console -- what a long run checked is told
    console.log(`seed ${seed}: ${JSON.stringify(judged)}`);
    expect(judged.reached).toBeGreaterThan(judged.allowed / 2);
    expect(judged.allowed).toBeGreaterThan(CASES / 20);
  },
  isLong ? 24 * 3_600_000 : 1_800_000,
);
