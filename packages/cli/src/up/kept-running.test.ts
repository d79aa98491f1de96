import { once } from "node:events";
import { PassThrough } from "node:stream";
import { systemClock, systemRandom } from "@hardshare/runtime";
import { expect, test } from "vitest";
import { ProgramStack } from "./kept-running.ts";

function program(script: string, graceMs = 5_000) {
  const log = new PassThrough();
  const lines: string[] = [];
  log.on("data", (chunk) => lines.push(String(chunk)));
  const command: [string, ...string[]] = [process.execPath, "-e", script];
  return { name: "server", command, variables: process.env, log, lines, graceMs, clock: systemClock, random: systemRandom };
}

const READY = `process.stdin.resume().on("end", () => process.exit()); console.log(JSON.stringify({ pid: process.pid }));`;

test("a program is ready when it says so, its log is passed on under its name, and it ends when asked to", async () => {
  const given = program(`${READY} console.error("hello");`);
  const programs = new ProgramStack();
  const { pid } = (await programs.start(given)) as { pid: number };
  if (given.lines.length === 0) await once(given.log, "data");
  expect(given.lines[0]).toBe("[server] hello\n");
  await programs[Symbol.asyncDispose]();
  expect(() => process.kill(pid, 0)).toThrow(/ESRCH/);
});

test("a program that dies is started again", async () => {
  const given = program(`console.error("up " + process.pid); ${READY}`);
  await using programs = new ProgramStack();
  const { pid } = (await programs.start(given)) as { pid: number };
  process.kill(pid, "SIGKILL");
  while (given.lines.filter((line) => line.includes("] up ")).length < 2) await once(given.log, "data");
  expect(given.lines.join("")).toMatch(/\[up\] server ended \(killed by SIGKILL\); starting it again in \d+ ms/);
});

test("a program that ends before it is ready fails with what it told", async () => {
  const failure = JSON.stringify({ error: { code: "port_in_use", message: "port 8484 is taken", details: {} } });
  const given = program(`console.error(${JSON.stringify(failure)}); process.exitCode = 1;`);
  await using programs = new ProgramStack();
  await expect(programs.start(given)).rejects.toMatchObject({
    code: "port_in_use",
    message: "server did not start (exit code 1): port 8484 is taken",
  });
});

test("a program that ignores the request to end is killed", async () => {
  const programs = new ProgramStack();
  const { pid } = (await programs.start(program(`process.on("SIGTERM", () => {}); ${READY}`, 50))) as { pid: number };
  await programs[Symbol.asyncDispose]();
  expect(() => process.kill(pid, 0)).toThrow(/ESRCH/);
});

test("programs end one after the other, the last started first", async () => {
  const ended: string[] = [];
  const programs = new ProgramStack();
  for (const name of ["first", "second"]) {
    const given = program(`process.on("SIGTERM", () => { console.error("bye"); process.exit(); }); ${READY}`);
    given.log.on("data", (chunk) => ended.push(String(chunk)));
    await programs.start({ ...given, name });
  }
  await programs[Symbol.asyncDispose]();
  expect(ended).toEqual(["[second] bye\n", "[first] bye\n"]);
});
