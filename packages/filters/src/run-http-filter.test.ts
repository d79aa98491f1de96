import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { FilterDecision } from "@hardshare/protocol";
import { silentLogger, systemClock } from "@hardshare/runtime";
import { expect, test } from "vitest";
import { startRecordingDevice } from "./testing/recording-device.ts";
import { parseTarget, runHttpFilter } from "./run-http-filter.ts";

async function writeRules(text: string) {
  const folder = await mkdtemp(join(tmpdir(), "hardshare-filter-"));
  const file = join(folder, "robot.rules.yaml");
  await writeFile(file, text);
  return { file, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
}

async function runUntil(reportsAllowed: boolean, use: (address: string) => Promise<void>) {
  await using device = await startRecordingDevice();
  await using rules = await writeRules("rules: [{ allow: GET /a }]");
  const stdout = new PassThrough({ encoding: "utf8" });
  const stderr = new PassThrough({ encoding: "utf8" });
  const end = new AbortController();
  const running = runHttpFilter({
    target: `127.0.0.1:${device.port}`,
    rulesFile: rules.file,
    host: "127.0.0.1",
    port: 0,
    stdout,
    stderr,
    reportsAllowed,
    signal: end.signal,
    clock: systemClock,
    logger: silentLogger,
  });
  const line = await new Promise<string>((resolve) => stdout.once("data", resolve));
  await use(line.trim());
  end.abort();
  await running;
  const decisions = (stderr.read() as string | null) ?? "";
  return { line, decisions: decisions.split("\n").slice(0, -1) };
}

test("the program prints its address, serves, and reports refusals as lines of JSON", async () => {
  const { line, decisions } = await runUntil(false, async (address) => {
    expect((await fetch(`http://${address}/a`)).status).toBe(200);
    expect((await fetch(`http://${address}/b`)).status).toBe(403);
  });
  expect(line).toMatch(/^127\.0\.0\.1:\d+\n$/);
  expect(decisions.map((decision) => FilterDecision.parse(JSON.parse(decision)))).toMatchObject([{ decision: "block", summary: "GET /b" }]);
});

test("the program reports allowed requests too when asked to", async () => {
  const { decisions } = await runUntil(true, async (address) => {
    await fetch(`http://${address}/a`);
  });
  expect(decisions.map((decision) => FilterDecision.parse(JSON.parse(decision)))).toMatchObject([{ decision: "allow", rule: "GET /a" }]);
});

test.each([
  ["robot:80", { host: "robot", port: 80 }],
  ["[::1]:8080", { host: "::1", port: 8080 }],
])("the target %s is read", (target, address) => {
  expect(parseTarget(target)).toEqual(address);
});

test.each(["robot", "robot:0", "robot:65536", "http://robot:80", "::1:80", ":80", ""])("the target %j is refused", (target) => {
  expect(() => parseTarget(target)).toThrow(expect.objectContaining({ code: "bad_input", details: { field: "target" } }));
});
