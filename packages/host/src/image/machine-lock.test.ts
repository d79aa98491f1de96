import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { MachineLock } from "./machine-lock.ts";

const folder = await mkdtemp(join(tmpdir(), "hs-lock-"));
afterAll(() => rm(folder, { recursive: true }));
const never = new AbortController().signal;

test("the second holder waits for the first", async () => {
  const path = join(folder, "a.lock");
  const first = await MachineLock.take(path, never);
  let isHeld = false;
  const second = MachineLock.take(path, never).then((lock) => {
    isHeld = true;
    return lock;
  });
  const otherLock = await MachineLock.take(join(folder, "b.lock"), never);
  await otherLock[Symbol.asyncDispose]();
  expect(isHeld).toBe(false);
  await first[Symbol.asyncDispose]();
  await (await second)[Symbol.asyncDispose]();
});

test("waiting can be cancelled", async () => {
  const path = join(folder, "c.lock");
  const first = await MachineLock.take(path, never);
  const controller = new AbortController();
  const second = MachineLock.take(path, controller.signal);
  controller.abort();
  await expect(second).rejects.toBe(controller.signal.reason);
  await first[Symbol.asyncDispose]();
});

test("a killed holder holds nothing", async () => {
  const path = join(folder, "d.lock");
  const program = `
    import { MachineLock } from ${JSON.stringify(fileURLToPath(new URL("machine-lock.ts", import.meta.url)))};
    await MachineLock.take(${JSON.stringify(path)}, new AbortController().signal);
    process.stdout.write("held");
    setInterval(() => {}, 1000);
  `;
  const args = ["--import", "tsx", "--conditions=@hardshare/source", "--input-type=module", "-e", program];
  const child = spawn(process.execPath, args, {
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  child.kill("SIGKILL");
  const lock = await MachineLock.take(path, AbortSignal.timeout(10_000));
  await lock[Symbol.asyncDispose]();
});
