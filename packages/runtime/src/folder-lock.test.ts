import { spawn } from "node:child_process";
import { once } from "node:events";
import { lstat, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lockFolder } from "./folder-lock.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hardshare-lock-"));
});
afterEach(() => rm(folder, { recursive: true }));

const options = () => ({ folder, name: "up.lock", holder: "another hardshare up" });

test("a folder that a living process holds is refused, and the process is named", async () => {
  await using _held = await lockFolder(options());
  await expect(lockFolder(options())).rejects.toMatchObject({
    code: "conflict",
    message: `another hardshare up (process ${process.pid}) already works on ${folder}; end it first, or use another folder`,
    details: { pid: process.pid },
  });
});

test("a folder is free again when the lock was given back, and nothing stays in it", async () => {
  await (await lockFolder(options()))[Symbol.asyncDispose]();
  expect(await readdir(folder)).toEqual([]);
  await using _again = await lockFolder(options());
});

test("the lock of a process that is gone is taken over, also when its number lives again", async () => {
  const child = spawn("true");
  await once(child, "exit");
  const path = join(folder, "up.lock");
  const leaveLock = (content: string) => symlink(content, path);
  for (const leave of [
    () => leaveLock(`${child.pid} boot:1`),
    () => leaveLock(`${process.pid} boot:1`),
    () => leaveLock("x"),
    () => writeFile(path, ""),
  ]) {
    await leave();
    await using _taken = await lockFolder(options());
    expect(await readdir(folder)).toEqual(["up.lock"]);
  }
});

test("a lock takes no room on the disk", async () => {
  await using _held = await lockFolder(options());
  const { size } = await lstat(join(folder, "up.lock"));
  expect(size).toBeLessThan(60); // what ext4 keeps in the inode
});
