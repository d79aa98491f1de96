import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Deferred } from "@hardshare/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lockForPrograms } from "./programs-lock.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hardshare-programs-"));
});
afterEach(() => rm(folder, { recursive: true }));

const never = new AbortController().signal;
const fail = () => {
  throw new Error("there was nothing to wait for");
};

test("a folder is locked as long as a program lives that inherited the descriptor, but not by what that one starts", async () => {
  const script = `const { pid } = require("node:child_process").spawn("sleep", ["1000"], { stdio: "ignore", detached: true });
    process.stdin.resume(); console.log(pid);`;
  const first = await lockForPrograms(folder, { signal: never, onWait: fail });
  const program = spawn(process.execPath, ["-e", script], { stdio: ["pipe", "pipe", "inherit", first.descriptor], detached: true });
  const sleeper = Number((await once(program.stdout!, "data"))[0]);
  await first[Symbol.asyncDispose](); // the supervisor is gone
  const waits = new Deferred();
  const waiting = lockForPrograms(folder, { signal: never, onWait: () => waits.resolve() });
  await waits.promise;
  program.kill("SIGKILL");
  await using _second = await waiting;
  process.kill(sleeper, "SIGKILL");
});

test("waiting ends when it is interrupted", async () => {
  await using _first = await lockForPrograms(folder, { signal: never, onWait: fail });
  const interrupted = new AbortController();
  const second = lockForPrograms(folder, { signal: interrupted.signal, onWait: () => interrupted.abort() });
  await expect(second).rejects.toMatchObject({ code: "cancelled" });
});
