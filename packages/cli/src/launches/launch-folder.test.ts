import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { makeKeyPair } from "@hardshare/client/node";
import { afterEach, beforeEach, expect, test } from "vitest";
import { LaunchFolders } from "./launch-folder.ts";

const run = promisify(execFile);
const id = "a0000000-0000-4000-8000-000000000002";
let state: string;
beforeEach(async () => {
  state = await mkdtemp(join(tmpdir(), "hardshare-launches-"));
});
afterEach(() => rm(state, { recursive: true }));

test("a new key is one that OpenSSH reads, readable by its user alone, and lies in the instance's folder", async () => {
  const folders = new LaunchFolders(state);
  const prepared = await folders.prepare({ uuid: "u", publicKeyFile: undefined });
  await prepared.adopt(id);
  const record = await folders.readRecord(id);
  expect(record).toEqual({ identityFile: folders.path(id, "key"), endsAt: null });
  const { stdout } = await run("ssh-keygen", ["-y", "-f", folders.path(id, "key")]);
  expect(prepared.publicKey.startsWith(stdout.trim().split(" ").slice(0, 2).join(" "))).toBe(true);
  expect((await stat(folders.path(id, "key"))).mode & 0o777).toBe(0o600);
  expect((await stat(folders.path(id))).mode & 0o777).toBe(0o700);
});

test("a launch that did not come about leaves no key", async () => {
  const prepared = await new LaunchFolders(state).prepare({ uuid: "u", publicKeyFile: undefined });
  await prepared.discard();
  expect(await readdir(join(state, "launches"))).toEqual([]);
});

test("the user's own key is used where it lies", async () => {
  const file = join(state, "mine");
  const { privateKey, publicKey } = await makeKeyPair("me");
  await writeFile(file, privateKey);
  await writeFile(`${file}.pub`, `${publicKey}\n`);
  const folders = new LaunchFolders(state);
  const prepared = await folders.prepare({ uuid: "u", publicKeyFile: `${file}.pub` });
  await prepared.adopt(id);
  expect(prepared.publicKey).toBe(publicKey);
  expect((await folders.readRecord(id))?.identityFile).toBe(file);
});

test("a public key alone is kept, so that an agent's key is picked by it", async () => {
  const file = join(state, "agent.pub");
  await writeFile(file, (await makeKeyPair("me")).publicKey);
  const folders = new LaunchFolders(state);
  await (await folders.prepare({ uuid: "u", publicKeyFile: file })).adopt(id);
  expect((await folders.readRecord(id))?.identityFile).toBe(folders.path(id, "key.pub"));
});

test("a file that is no public key is refused with its name, and nothing is left", async () => {
  const file = join(state, "bad.pub");
  await writeFile(file, (await makeKeyPair("me")).privateKey);
  const folders = new LaunchFolders(state);
  await expect(folders.prepare({ uuid: "u", publicKeyFile: file })).rejects.toMatchObject({
    code: "bad_input",
    message: expect.stringContaining(`--public-key: ${file}: expected one line of an OpenSSH public key`) as string,
  });
  await expect(folders.prepare({ uuid: "u", publicKeyFile: join(state, "none.pub") })).rejects.toMatchObject({ code: "bad_input" });
  expect(await readdir(join(state, "launches"))).toEqual([]);
});

test("files of launches that ended long ago are removed, others stay", async () => {
  const folders = new LaunchFolders(state);
  await folders.writeRecord("old", { identityFile: null, endsAt: 1_000 });
  await folders.writeRecord("running", { identityFile: null, endsAt: 9_000_000 });
  await folders.writeRecord("unknown", { identityFile: null, endsAt: null });
  await folders.prune(9_000_000);
  expect((await readdir(join(state, "launches"))).toSorted()).toEqual(["running", "unknown"]);
});
