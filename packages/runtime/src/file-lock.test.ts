import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { type FileLock, lockFile } from "./file-lock.ts";

const folder = await mkdtemp(join(tmpdir(), "hs-lock-"));
afterAll(() => rm(folder, { recursive: true }));

/** Waits for the lock as long as it takes. */
async function take(path: string, signal?: AbortSignal): Promise<FileLock> {
  const lock = await lockFile(path, { signal });
  if (lock === undefined) throw new Error("it was not waited for");
  return lock;
}

test("the second holder waits for the first", async () => {
  const path = join(folder, "a.lock");
  const first = await take(path);
  let isHeld = false;
  const second = take(path).then((lock) => {
    isHeld = true;
    return lock;
  });
  const otherLock = await take(join(folder, "b.lock"));
  await otherLock[Symbol.asyncDispose]();
  expect(isHeld).toBe(false);
  await first[Symbol.asyncDispose]();
  await (await second)[Symbol.asyncDispose]();
});

test("waiting can be cancelled", async () => {
  const path = join(folder, "c.lock");
  const first = await take(path);
  const controller = new AbortController();
  const second = take(path, controller.signal);
  controller.abort();
  await expect(second).rejects.toBe(controller.signal.reason);
  await first[Symbol.asyncDispose]();
});

test("a killed holder holds nothing", async () => {
  const path = join(folder, "d.lock");
  const program = `
    import { lockFile } from ${JSON.stringify(fileURLToPath(new URL("file-lock.ts", import.meta.url)))};
    await lockFile(${JSON.stringify(path)});
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
  const lock = await take(path, AbortSignal.timeout(10_000));
  await lock[Symbol.asyncDispose]();
});

test("giving it back twice closes nothing else", async () => {
  const path = join(folder, "f.lock");
  const lock = await take(path);
  await lock[Symbol.asyncDispose]();
  await using _again = await take(path); // mostly under the same number
  await lock[Symbol.asyncDispose]();
  expect(await lockFile(path, { waitS: 0 })).toBeUndefined();
});

test("who does not wait, or not for so long, is told that it is held", async () => {
  const path = join(folder, "e.lock");
  await using _held = await take(path);
  expect(await lockFile(path, { waitS: 0 })).toBeUndefined();
  expect(await lockFile(path, { waitS: 0.1 })).toBeUndefined();
});
