import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { ManualClock, silentLogger } from "@hardshare/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import { SpareFilter } from "./spare-filter.ts";

/** Says what it was told to be; ends with its standard input, as the real one does. */
const PROGRAM = `const lines = require("node:readline").createInterface(process.stdin);
  lines.on("line", (line) => console.log(process.pid + " is " + line)).on("close", () => process.exit(0));`;

/** By which the processes of this run are found. */
const mark = `spare-filter-test-${crypto.randomUUID()}`;

let clock: ManualClock;
let spare: SpareFilter;
beforeEach(() => {
  clock = new ManualClock();
  const place = { folder: "/", env: { PATH: process.env["PATH"] ?? "" }, launcher: [] };
  spare = new SpareFilter({ selfCommand: [process.execPath, "-e", PROGRAM, "--", mark], place, clock, logger: silentLogger });
});
afterEach(() => spare[Symbol.asyncDispose]());

test("none is given when none was prepared", async () => {
  expect(await spare.take(["http"])).toBeUndefined();
});

test("one waits, is told once what to be, and the next one waits a while later", async () => {
  spare.prepare();
  spare.prepare();
  const child = await spare.take(["http", "--target", "a b:80"]);
  const [line] = (await once(createInterface(child!.stdout!), "line")) as [string];
  expect(line).toBe(`${child?.pid} is ["http","--target","a b:80"]`);
  expect(await spare.take(["http"])).toBeUndefined();
  clock.advance(250);
  const next = await spare.take(["http"]);
  expect(next?.pid).not.toBe(child?.pid);
  for (const each of [child, next]) {
    each?.stdin?.end(); // what the end of the daemon does
    await once(each!, "exit");
  }
});

test("of two that ask at the same time only one gets it", async () => {
  spare.prepare();
  const given = await Promise.all([spare.take(["http", "1"]), spare.take(["http", "2"])]);
  expect(given.filter((child) => child !== undefined)).toHaveLength(1);
  const [child] = given;
  expect((await once(createInterface(child!.stdout!), "line"))[0]).toBe(`${child?.pid} is ["http","1"]`);
  child!.stdin!.end();
  await once(child!, "exit");
});

test("after the end none is given, and none waits", async () => {
  spare.prepare();
  const ending = spare[Symbol.asyncDispose]();
  expect(await spare.take(["http"])).toBeUndefined();
  await ending;
  spare.prepare();
  clock.advance(250);
  expect(await spare.take(["http"])).toBeUndefined();
  expect(spawnSync("pgrep", ["-f", mark], { encoding: "utf8" }).stdout).toBe("");
});
