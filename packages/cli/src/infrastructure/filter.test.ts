import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { FilterReport } from "@hardshare/protocol";
import { afterAll, beforeAll, expect, test } from "vitest";
import { COMMAND, runHere } from "../testing.ts";

let folder: string;
const device = createServer((request, response) => void request.resume().once("end", () => response.end("done")));
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hardshare-filter-"));
  device.listen(0, "127.0.0.1");
  await once(device, "listening");
});
afterAll(async () => {
  device.close();
  device.closeAllConnections();
  await rm(folder, { recursive: true });
});

/** The verbs that end by themselves, in this process: quicker. Names of files stand for those in the folder. */
async function run(...args: string[]) {
  const named = args.map((arg) => (/^@|\.(?:yaml|jsonl)$/.test(arg) ? arg.replace(/^@?/, `$&${folder}/`) : arg));
  return runHere(["filter", ...named], { HOME: folder }, { uid: 0, home: folder });
}

/** A filter as a process of its own, with its reports as they come. */
async function startFilter(...args: string[]) {
  const target = `127.0.0.1:${(device.address() as AddressInfo).port}`;
  const child = spawn(process.execPath, [...COMMAND, "filter", "run", "http", "--target", target, ...args], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true, // of no terminal, as the host starts it
  });
  const reports = createInterface(child.stderr)[Symbol.asyncIterator]();
  const [address] = (await once(createInterface(child.stdout), "line")) as [string];
  return {
    child,
    url: `http://${address}`,
    async report(type: FilterReport["type"]): Promise<FilterReport> {
      for (;;) {
        const { value, done } = await reports.next();
        if (done === true) throw new Error(`the filter ended without a report of ${type}`);
        const report = FilterReport.parse(JSON.parse(value));
        if (report.type === type) return report;
      }
    },
  };
}

test("rules are recorded on trial, learnt, tried, put into force by SIGHUP, and hold", async () => {
  await writeFile(join(folder, "robot.yaml"), 'mode: shadow\nrules:\n  - allow: "POST /*"\n    body: true\n');
  const filter = await startFilter("--rules", "robot.yaml", "--decisions", "decisions.jsonl");
  const post = (speed: number) => fetch(`${filter.url}/api/drive`, { method: "POST", body: JSON.stringify({ speed }) });
  for (const speed of [3, -2, 5]) expect((await post(speed)).status).toBe(200);
  expect((await fetch(`${filter.url}/api/pose`)).status).toBe(200); // no rule allows it, but they are on trial
  filter.child.kill("SIGTERM");
  expect(await once(filter.child, "exit")).toEqual([0, null]);

  expect(await run("learn", "--from", "decisions.jsonl", "--to", "learnt.yaml")).toMatchObject({ exitCode: 0, stderr: "" });
  expect(await run("learn", "--from", "decisions.jsonl", "--to", "learnt.yaml")).toMatchObject({
    exitCode: 2,
    stderr: expect.stringMatching(/cannot write .*learnt\.yaml: it is there already/),
  });
  const tried = await run(
    "test",
    "learnt.yaml",
    'POST /api/drive {"speed":5}',
    'POST /api/drive {"speed":6}',
    "GET /api/pose",
    "--format",
    "json",
  );
  expect(tried.exitCode).toBe(0);
  const lines = tried.stdout.trim().split("\n");
  expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    { decisions: [{ decision: "allow", rule: "POST /api/drive" }] },
    { decisions: [{ decision: "block", because: "/speed must be <= 5" }] },
    { decisions: [{ decision: "allow" }] },
  ]);

  const second = await startFilter("--rules", "robot.yaml");
  await writeFile(join(folder, "robot.yaml"), await readFile(join(folder, "learnt.yaml")));
  second.child.kill("SIGHUP");
  expect(await second.report("rules")).not.toHaveProperty("problem");
  const refused = await fetch(`${second.url}/api/drive`, { method: "POST", body: '{"speed":6}' });
  expect(refused.status).toBe(403);
  expect(await refused.json()).toMatchObject({ rule: "POST /api/drive" });
  await writeFile(join(folder, "robot.yaml"), "rules:\n  - allow: POST api\n");
  second.child.kill("SIGHUP");
  expect(await second.report("rules")).toHaveProperty(
    "problem",
    expect.stringContaining("robot.yaml:2:12: rules.0.allow: expected METHOD /path"),
  );
  expect((await fetch(`${second.url}/api/pose`)).status).toBe(200);
  second.child.kill("SIGUSR2");
  const { address } = (await second.report("cut")) as FilterReport & { type: "cut" };
  expect((await fetch(`http://${address}/api/pose`)).status).toBe(200);
  second.child.kill("SIGTERM");
  expect(await once(second.child, "exit")).toEqual([0, null]);
}, 60_000);

test("what a message becomes and why is told for people", async () => {
  await writeFile(
    join(folder, "clamped.yaml"),
    "rules:\n  - allow: POST /drive\n    body: { type: object }\n    clamp: { speed: [-8, 8] }\n",
  );
  const { stdout, exitCode } = await run("test", "clamped.yaml", 'POST /drive {"speed":9}', "GET /pose");
  expect(exitCode).toBe(0);
  expect(stdout).toBe(`POST /drive {"speed":9}
  allow by POST /drive because speed brought into -8 to 8
  reaches the device as POST /drive {"speed":8}
GET /pose
  block by default because no filter rule of the owner allows this request
`);
});

test.each([
  [["test", "none.yaml", "GET /a"], "cannot read the rules file"],
  [["test", "wrong.yaml", "GET /a"], "wrong.yaml:1:18: rules.0.allow: expected METHOD /path"],
  [["test", "wrong.yaml", "GET /a", "--filter", "telnet"], "messages of the filter telnet can't be tried"],
  [["test", "empty.yaml", "GET /a"], "expected --filter"],
  [["test", "empty.yaml", "a", "--filter", "http"], "expected `METHOD /path [body]`"],
  [["test", "empty.yaml", "@none", "--filter", "http"], "/none: "],
  [["learn", "--from", "wrong.yaml"], "wrong.yaml has no message that passed"],
])("bad input is told: %j", async (args, message) => {
  await writeFile(join(folder, "wrong.yaml"), "rules: [{ allow: GET pose }]\n");
  await writeFile(join(folder, "empty.yaml"), "");
  const { exitCode, stderr, stdout } = await run(...args);
  expect({ exitCode, stdout }).not.toMatchObject({ exitCode: 0 });
  expect(stderr).toContain(message);
});
