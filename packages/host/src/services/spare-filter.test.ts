import { once } from "node:events";
import { createInterface } from "node:readline";
import { ManualClock, silentLogger } from "@hardshare/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import { SpareFilter } from "./spare-filter.ts";

/** Says what it was told to be; ends with its standard input, as the real one does. */
const PROGRAM = `const lines = require("node:readline").createInterface(process.stdin);
  lines.on("line", (line) => console.log(process.pid + " is " + line)).on("close", () => process.exit(0));`;

let clock: ManualClock;
let spare: SpareFilter;
beforeEach(() => {
  clock = new ManualClock();
  const place = { folder: "/", env: { PATH: process.env["PATH"] ?? "" }, launcher: [] };
  spare = new SpareFilter({ selfCommand: [process.execPath, "-e", PROGRAM, "--"], place, clock, logger: silentLogger });
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
  clock.advance(2000);
  const next = await spare.take(["http"]);
  expect(next?.pid).not.toBe(child?.pid);
  for (const each of [child, next]) {
    each?.stdin?.end(); // what the end of the daemon does
    await once(each!, "exit");
  }
});

test("one that died while it waited is not given, and the one that waits at the end is ended", async () => {
  spare.prepare();
  const child = await spare.take(["http"]);
  child?.kill("SIGKILL");
  await once(child!, "exit");
  clock.advance(2000);
  await spare[Symbol.asyncDispose]();
  expect(await spare.take(["http"])).toBeUndefined();
});
