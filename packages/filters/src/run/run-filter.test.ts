import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { PassThrough } from "node:stream";
import { FilterReport } from "@hardshare/protocol";
import { silentLogger, systemClock } from "@hardshare/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import { httpFilterKind } from "../http/http-filter-kind.ts";
import { type RecordingDevice, startRecordingDevice } from "../testing/recording-device.ts";
import { runFilter } from "./run-filter.ts";

let folder: string;
let device: RecordingDevice;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hardshare-filter-"));
  await writeFile(join(folder, "robot.rules.yaml"), "rules: [{ allow: GET /a }]");
  device = await startRecordingDevice();
});
afterEach(async () => {
  await device[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

/** A filter that runs as a program does, with its reports as they come. */
async function start() {
  const stdout = new PassThrough({ encoding: "utf8" });
  const stderr = new PassThrough({ encoding: "utf8" });
  const end = new AbortController();
  let reload: (() => void) | undefined;
  let cut: (() => void) | undefined;
  const running = runFilter({
    kind: httpFilterKind({ target: `127.0.0.1:${device.port}` }),
    rulesFile: join(folder, "robot.rules.yaml"),
    host: "127.0.0.1",
    port: 0,
    stateFile: join(folder, "state"),
    decisionsFile: join(folder, "decisions"),
    stdout,
    stderr,
    onReloadAsked: (take) => {
      reload = take;
      return { [Symbol.dispose]: () => (reload = undefined) };
    },
    onCutAsked: (take) => {
      cut = take;
      return { [Symbol.dispose]: () => (cut = undefined) };
    },
    signal: end.signal,
    clock: systemClock,
    logger: silentLogger,
  });
  const reports: FilterReport[] = [];
  const waiting: (() => void)[] = [];
  createInterface(stderr).on("line", (line) => {
    reports.push(FilterReport.parse(JSON.parse(line)));
    for (const look of waiting) look();
  });
  const line = await Promise.race([new Promise<string>((resolve) => stdout.once("data", resolve)), running.then(() => "ended")]);
  return {
    line,
    url: `http://${line.trim()}`,
    reports,
    reload: () => reload?.(),
    cut: () => cut?.(),
    /** Settles with the first report that fits. */
    async report(fits: (report: FilterReport) => boolean): Promise<FilterReport> {
      for (;;) {
        const found = reports.find(fits);
        if (found !== undefined) return found;
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
    async [Symbol.asyncDispose]() {
      end.abort();
      await running;
    },
  };
}

test("the program prints its address, serves, and reports decisions and signs of life as lines of JSON", async () => {
  await using filter = await start();
  expect(filter.line).toMatch(/^127\.0\.0\.1:\d+\n$/);
  expect((await fetch(`${filter.url}/a`)).status).toBe(200);
  expect((await fetch(`${filter.url}/b`)).status).toBe(403);
  expect(await filter.report((report) => report.type === "decision" && report.decision === "allow")).toMatchObject({
    filter: "http",
    direction: "in",
    rule: "GET /a",
    summary: "GET /a",
  });
  expect(await filter.report((report) => report.type === "decision" && report.decision === "block")).toMatchObject({
    rule: "default",
    because: "no filter rule of the owner allows this request",
  });
  await filter.report((report) => report.type === "pulse" && report.judged.in === 2 && report.judged.blocked === 1);
});

test("a file that is read again decides from the next message on", async () => {
  await using filter = await start();
  await writeFile(join(folder, "robot.rules.yaml"), "rules: [{ allow: GET /b }]");
  expect((await fetch(`${filter.url}/b`)).status).toBe(403);
  filter.reload();
  expect(await filter.report(({ type }) => type === "rules")).not.toHaveProperty("problem");
  expect((await fetch(`${filter.url}/a`)).status).toBe(403);
  expect((await fetch(`${filter.url}/b`)).status).toBe(200);
});

test("a file that is wrong changes nothing, and the problem is reported with its place", async () => {
  await using filter = await start();
  await writeFile(join(folder, "robot.rules.yaml"), "rules:\n  - allow: GET b\n");
  filter.reload();
  const { problem } = (await filter.report(({ type }) => type === "rules")) as { problem?: string };
  expect(problem).toContain("robot.rules.yaml:2:12: rules.0.allow: expected METHOD /path");
  expect((await fetch(`${filter.url}/a`)).status).toBe(200);
});

test("when it is asked to, it cuts all connections and tells where it serves then", async () => {
  await using filter = await start();
  expect((await fetch(`${filter.url}/a`)).status).toBe(200);
  filter.cut();
  filter.cut();
  await filter.report((report) => report.type === "cut" && filter.reports.filter(({ type }) => type === "cut").length === 2);
  const { address } = filter.reports.findLast((report) => report.type === "cut") ?? {};
  await expect(fetch(`${filter.url}/a`)).rejects.toThrow();
  expect((await fetch(`http://${address}/a`)).status).toBe(200);
});

test("every decision is recorded for `filter learn`", async () => {
  {
    await using filter = await start();
    for (let count = 0; count < 3; count += 1) await fetch(`${filter.url}/a`);
  }
  const lines = (await readFile(join(folder, "decisions"), "utf8")).trim().split("\n");
  expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([{ rule: "GET /a" }, { rule: "GET /a" }, { rule: "GET /a" }]);
});

test("a file of budgets that is none of ours is refused", async () => {
  await appendFile(join(folder, "state"), "rules: []\n");
  await expect(start()).rejects.toMatchObject({ code: "config_invalid", message: expect.stringContaining("state:1:") });
});
