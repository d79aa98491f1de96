import { chmod, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { silentLogger, systemClock, systemRandom } from "@hardshare/runtime";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type RunningServer, startServer } from "../start-server.ts";
import { backupServer, restoreServer } from "./backup-server.ts";

// each test starts servers with databases of their own, which takes seconds on a busy machine
vi.setConfig({ testTimeout: 90_000 });

let folder: string;
let backup: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hardshare-backup-"));
  await chmod(folder, 0o711);
  backup = join(folder, "backup");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const common = { signal: new AbortController().signal, clock: systemClock, random: systemRandom, logger: silentLogger };
const start = (dataFolder: string) => startServer({ dataFolder, host: "127.0.0.1", port: 0, ...common });
const place = (name: string) => ({ dataFolder: join(folder, name), file: backup, ...common });

/** What the administrator is answered. */
async function ask(server: RunningServer, method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
  const token = (await readFile(server.adminTokenFile, "utf8")).trim();
  const answer = await fetch(server.url + path, {
    method,
    headers: { authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  expect(answer.status).toBe(200);
  const text = await answer.text();
  return text === "" ? {} : (JSON.parse(text) as Record<string, unknown>);
}

test("what a server has kept is there again in a new folder: its keys, its tokens, and every row", async () => {
  let listed: unknown;
  {
    await using server = await start(join(folder, "first"));
    await ask(server, "POST", "/admin/users", { name: "ada" });
    const { id } = await ask(server, "POST", "/hardshare/register", { type: "arm", desc: "an arm, «naïve» 🦾" });
    await ask(server, "POST", `/deployment/${String(id)}/lockout`, { reason: 'gripper\tis loose\n"really"' });
    listed = await ask(server, "GET", "/hardshare/list");
    const { rows } = await backupServer(place("first")); // beside the server, which runs
    expect(rows).toBeGreaterThan(4);
  }
  expect((await stat(backup)).mode & 0o777).toBe(0o600);
  await backupServer(place("first")); // without one; it replaces the other
  await restoreServer(place("second"));
  for (const name of ["identity", "token-signing.pem", "sealing.key", "admin.token"]) {
    expect(await readFile(join(folder, "second", name), "utf8")).toBe(await readFile(join(folder, "first", name), "utf8"));
  }
  await using server = await start(join(folder, "second"));
  expect(await ask(server, "GET", "/hardshare/list")).toEqual(listed);
  expect((await ask(server, "GET", "/admin/users"))["users"]).toMatchObject([{ name: "ada" }, { name: "admin" }]);
  await ask(server, "POST", "/hardshare/register", {}); // numbers of events go on above those restored
});

test("a torn or foreign file is refused, and nothing of it stays", async () => {
  const torn = join(folder, "torn");
  await writeFile(torn, await readFile(backup));
  await truncate(torn, 400);
  await expect(restoreServer({ ...place("third"), file: torn })).rejects.toMatchObject({
    code: "bad_input",
    message: expect.stringMatching(/no whole backup/),
  });
  await writeFile(
    torn,
    gzipSync(Buffer.from('{"format":"hardshare-backup","version":1,"at":"2026-01-01T00:00:00.000Z","migrations":[1]}\n')),
  );
  await expect(restoreServer({ ...place("third"), file: torn })).rejects.toMatchObject({
    code: "bad_input",
    message: expect.stringMatching(/its end is missing/),
  });
  await writeFile(torn, "no gzip");
  await expect(restoreServer({ ...place("third"), file: torn })).rejects.toMatchObject({ code: "bad_input" });
  await writeFile(torn, gzipSync(Buffer.from('{"format":"something"}\n')));
  await expect(restoreServer({ ...place("third"), file: torn })).rejects.toThrow(/expected a backup that `hardshare backup` made/);
  expect(await readdir(join(folder, "third")).catch(() => [])).toEqual([]);
});

test("nothing is restored over a server, and nothing is saved where there is none", async () => {
  await expect(restoreServer(place("first"))).rejects.toMatchObject({ code: "conflict" });
  await expect(backupServer(place("nowhere"))).rejects.toMatchObject({ code: "not_found" });
});
