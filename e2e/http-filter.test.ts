import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { expectSuccess, HARDSHARE, RunningCommand } from "./harness/commands.ts";

const RULES = `
rules:
  - allow: GET /api/sensors
  - allow: POST /api/drive/time
    body:
      type: object
      required: [LinearVelocity, TimeMS]
      properties: { LinearVelocity: { type: number, minimum: -12, maximum: 12 }, TimeMS: { type: integer, maximum: 5000 } }
      additionalProperties: false
    clamp: { LinearVelocity: [-8, 8] }
  - block: POST /api/reboot
    because: only the owner reboots this robot
`;
const RRHTTP = `
default: block
rules:
  - { verb: POST, uri: /api/head, has_body: true, default: block, schema: [{ name: Pitch, type: float, range: [-30, 10] }] }
`;

let folder: string;
let robot: RunningCommand<{ url: string }>;
let robotAddress: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hardshare-http-"));
  robot = new RunningCommand(["sim", "--port", "0"], {});
  robotAddress = new URL((await robot.ready).url).host;
});
afterAll(async () => {
  await robot?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

/** The real command, before the robot. */
async function startFilter(kind: string, rules: string, args: (file: string) => string[]) {
  const file = join(folder, `${kind}.yaml`);
  await writeFile(file, rules);
  const child = spawn(process.execPath, [HARDSHARE, "filter", "run", kind, ...args(file)], { stdio: ["ignore", "pipe", "ignore"] });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return {
    url: `http://${line.toString().trim()}`,
    async [Symbol.asyncDispose]() {
      child.kill();
      await once(child, "exit");
    },
  };
}

const curl = (...args: string[]) => expectSuccess("curl", ["--silent", "--show-error", "--write-out", " %{http_code}", ...args]);

async function lastAct(): Promise<unknown> {
  const answer = (await (await fetch(`http://${robotAddress}/ledger`)).json()) as {
    entries: { kind: string; action: string; arguments: unknown }[];
  };
  const { action, arguments: given } = answer.entries.findLast(({ kind }) => kind === "act") ?? { action: "none", arguments: {} };
  return [action, given];
}

test("curl gets what the rules allow, and the reason for what they don't", async () => {
  await using filter = await startFilter("http", RULES, (file) => ["--target", robotAddress, "--rules", file]);
  expect(await curl(`${filter.url}/api/sensors`)).toMatch(/"pose"[^]* 200$/);
  expect(await curl("--data", '{"LinearVelocity": 11, "TimeMS": 100}', `${filter.url}/api/drive/time`)).toMatch(/"driving"[^]* 200$/);
  expect(await lastAct()).toEqual(["POST /api/drive/time", { LinearVelocity: 8, TimeMS: 100 }]);
  expect(await curl("--request", "POST", `${filter.url}/api/reboot`)).toMatch(/"because":"only the owner reboots this robot"[^]* 403$/);
  expect(await curl("--http1.0", "--header", "Transfer-Encoding: chunked", "--data", "{}", `${filter.url}/api/drive/time`)).toMatch(
    / 40[03]$/,
  );
  expect(await curl("--path-as-is", `${filter.url}/api/x/../sensors`)).toMatch(/ 400$/);
  const large = `{"LinearVelocity":1,"TimeMS":100,"note":"${"x".repeat(2_000_000)}"}`;
  await writeFile(join(folder, "large"), large);
  expect(await curl("--data", `@${join(folder, "large")}`, `${filter.url}/api/drive/time`)).toMatch(/ 413$/);
  expect(await lastAct()).toEqual(["POST /api/drive/time", { LinearVelocity: 8, TimeMS: 100 }]);
});

test("wrk on many connections is answered by the robot each time", async () => {
  await using filter = await startFilter("http", RULES, (file) => ["--target", robotAddress, "--rules", file]);
  const script = join(folder, "post.lua");
  await writeFile(
    script,
    `wrk.method = "POST"\nwrk.body = '{"LinearVelocity":1,"TimeMS":100}'\nwrk.headers["Content-Type"] = "application/json"\n`,
  );
  const told = await expectSuccess("wrk", ["-t1", "-c32", "-d1s", "-s", script, `${filter.url}/api/drive/time`]);
  expect(Number(/(\d+) requests in/.exec(told)?.[1])).toBeGreaterThan(10);
  expect(told).not.toMatch(/Non-2xx|Socket errors/);
});

test("a configuration file of rrhttp is used as it is", async () => {
  await using filter = await startFilter("rrhttp", RRHTTP, (file) => ["--config", file, robotAddress]);
  expect(await curl("--data", '{"Pitch":-5.5}', `${filter.url}/api/head`)).toMatch(/ 200$/);
  expect(await curl("--data", '{"Pitch":11}', `${filter.url}/api/head`)).toMatch(/ 403$/);
  expect(await curl("--data", '{"Pitch":1,"pitch":1}', `${filter.url}/api/head`)).toMatch(/ 403$/);
  expect(await lastAct()).toEqual(["POST /api/head", { Pitch: -5.5 }]);
});
