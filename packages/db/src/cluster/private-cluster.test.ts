import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, cp, mkdir, mkdtemp, readFile, readdir, rm, stat, watch, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Deferred, type Logger, runProgram, silentLogger, systemRandom } from "@hardshare/runtime";
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { findNativeBinaries, makeRunnable } from "./native-binaries.ts";
import { type PrivateCluster, startPrivateCluster } from "./private-cluster.ts";
import { findServiceUser } from "./service-user.ts";

const isRoot = process.getuid?.() === 0;
/** A data folder with a new cluster: copying it is faster than initdb. */
let prepared: string;
let parent: string;
let dataFolder: string;

beforeAll(async () => {
  prepared = await mkdtemp(join(tmpdir(), "db-test-"));
  await chmod(prepared, 0o711);
  const folders = { dataFolder: join(prepared, "data"), socketFolder: join(prepared, "s") };
  const cluster = await startPrivateCluster({ ...folders, logger: silentLogger, random: systemRandom });
  await cluster[Symbol.asyncDispose]();
});
afterAll(() => rm(prepared, { recursive: true, force: true }));
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), "db-test-"));
  await chmod(parent, 0o711);
  dataFolder = join(parent, "data");
  await runProgram("cp", ["-a", join(prepared, "data"), dataFolder]);
});
afterEach(() => rm(parent, { recursive: true, force: true }));

async function start(more: { logger?: Logger; signal?: AbortSignal } = {}): Promise<PrivateCluster> {
  return await startPrivateCluster({ dataFolder, socketFolder: join(parent, "s"), logger: silentLogger, random: systemRandom, ...more });
}

async function query(cluster: PrivateCluster, sql: string): Promise<unknown[]> {
  const client = new pg.Client(cluster.connection);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

/** A server's stand-in: a process that starts the cluster, says so, and then only lives. */
async function startElsewhere(): Promise<ChildProcess> {
  const module = fileURLToPath(new URL("private-cluster.ts", import.meta.url));
  const code = `
    const { startPrivateCluster } = await import(${JSON.stringify(module)});
    const { silentLogger, systemRandom } = await import("@hardshare/runtime");
    await startPrivateCluster({ dataFolder: ${JSON.stringify(dataFolder)}, socketFolder: ${JSON.stringify(join(parent, "s"))}, logger: silentLogger, random: systemRandom });
    console.log("started");
    setInterval(() => {}, 1e6);`;
  const args = ["--import", "tsx", "--conditions=@hardshare/source", "--input-type=module", "--eval", code];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"], cwd: fileURLToPath(new URL("..", import.meta.url)) });
  const outcome = await Promise.race([once(child.stdout, "data"), once(child, "exit").then(() => "ended")]);
  if (outcome === "ended") throw new Error("the stand-in ended");
  return child;
}

async function postmasterPid(): Promise<number> {
  return Number((await readFile(join(dataFolder, "postgresql", "postmaster.pid"), "utf8")).split("\n")[0]);
}

/** Resolves when no process holds the cluster any more: the kernel wakes flock then. */
async function waitUntilGone(): Promise<void> {
  const [exitCode] = (await once(spawn("flock", ["--wait", "10", join(dataFolder, "postgresql.running"), "true"]), "exit")) as [number];
  expect(exitCode).toBe(0);
}

test("a cluster keeps its data over restarts, is durable, and listens on a Unix socket only", async () => {
  {
    await using cluster = await start();
    await query(cluster, "create table kept as select 42 as answer");
    const settings =
      "current_setting('fsync') as fsync, current_setting('full_page_writes') as pages, current_setting('synchronous_commit') as sync";
    expect(await query(cluster, `select ${settings}, current_setting('listen_addresses') as tcp, inet_server_addr() as address`)).toEqual([
      { fsync: "on", pages: "on", sync: "on", tcp: "", address: null },
    ]);
    const wrong = new pg.Client({ ...cluster.connection, password: "wrong" });
    await expect(wrong.connect()).rejects.toMatchObject({ code: "28P01" });
    expect((await stat(join(dataFolder, "postgresql.password"))).mode & 0o777).toBe(0o600);
  }
  await waitUntilGone();
  await using cluster = await start();
  expect(await query(cluster, "select answer from kept")).toEqual([{ answer: 42 }]);
});

test.runIf(isRoot)("as root it runs as a user of its own", async () => {
  await using cluster = await start();
  const status = await readFile(`/proc/${await postmasterPid()}/status`, "utf8");
  const user = await findServiceUser(0, silentLogger);
  expect(user?.uid).not.toBe(0);
  expect(status).toMatch(new RegExp(`^Uid:\\s+${String(user?.uid)}\\s`, "m"));
  await query(cluster, "select 1");
});

test("killing the server with SIGKILL leaves no PostgreSQL behind, and the next one starts on the same data (G2)", async () => {
  const server = await startElsewhere();
  server.kill("SIGKILL");
  await once(server, "exit");
  await waitUntilGone();
  await using cluster = await start();
  await query(cluster, "select 1");
});

test("a server that starts while the killed one's PostgreSQL still runs waits for its end", async () => {
  const server = await startElsewhere();
  const pid = await postmasterPid();
  process.kill(pid, "SIGSTOP"); // it can't follow its server's end
  server.kill("SIGKILL");
  await once(server, "exit");
  const notices: string[] = [];
  const info = (message: string) => {
    notices.push(message);
    process.kill(pid, "SIGCONT");
  };
  await using cluster = await start({ logger: { ...silentLogger, info } });
  expect(notices).toEqual(["stopping the PostgreSQL that a killed server left behind"]);
  await query(cluster, "select 1");
});

test("a PostgreSQL that was itself killed is started again, with all that was committed", async () => {
  const runsAgain = new Deferred();
  const info = (message: string) => message === "PostgreSQL runs again" && runsAgain.resolve();
  await using cluster = await start({ logger: { ...silentLogger, info } });
  await query(cluster, "create table kept as select 42 as answer");
  process.kill(await postmasterPid(), "SIGKILL");
  await runsAgain.promise;
  expect(await query(cluster, "select answer from kept")).toEqual([{ answer: 42 }]);
});

test("a second server on the same folder is refused, and the first one's PostgreSQL goes on", async () => {
  await using cluster = await start();
  await expect(start()).rejects.toMatchObject({ code: "conflict" });
  await query(cluster, "select 1");
});

test("a cluster whose making was interrupted is made anew", async () => {
  await rm(dataFolder, { recursive: true });
  await mkdir(dataFolder);
  const interruption = new AbortController();
  const refused = expect(start({ signal: interruption.signal })).rejects.toThrow("aborted");
  let interrupted = "";
  for await (const { filename } of watch(dataFolder)) {
    if (!filename?.startsWith("postgresql.unfinished-")) continue;
    interrupted = join(dataFolder, filename); // initdb begins
    break;
  }
  interruption.abort();
  await refused;
  expect(await readdir(dataFolder)).not.toContain("postgresql");
  // What SIGKILL leaves: a folder that looks like a cluster, and an initdb that goes on writing to it.
  const leaveBehind = async () => {
    await mkdir(join(interrupted, "cluster"), { recursive: true });
    await writeFile(join(interrupted, "cluster", "PG_VERSION"), "18\n");
  };
  await leaveBehind();
  const started = start();
  for await (const { filename } of watch(dataFolder))
    if (filename?.startsWith("postgresql.unfinished-") && join(dataFolder, filename) !== interrupted) break;
  await leaveBehind();
  await using cluster = await started;
  await query(cluster, "select 1");
  await cluster[Symbol.asyncDispose]();
  await using again = await start();
  await query(again, "select 1");
  const names = await readdir(dataFolder);
  // A copy of the binaries is there when the checkout lies where the database's user cannot go.
  expect(names.filter((name) => !name.startsWith("postgresql-binaries-")).sort()).toEqual([
    "postgresql",
    "postgresql.lock",
    "postgresql.password",
    "postgresql.running",
  ]);
});

test("a lost password is named, with what to do", async () => {
  await (await start())[Symbol.asyncDispose]();
  await rm(join(dataFolder, "postgresql.password"));
  await expect(start()).rejects.toMatchObject({ code: "config_invalid", message: expect.stringMatching(/postgresql\.password.*backup/) });
});

test("data of another PostgreSQL version, or a folder with something else, is refused and not touched", async () => {
  await rm(dataFolder, { recursive: true });
  await mkdir(join(dataFolder, "postgresql"), { recursive: true });
  await writeFile(join(dataFolder, "postgresql", "PG_VERSION"), "17\n");
  await expect(start()).rejects.toMatchObject({ code: "version_mismatch" });
  await rm(join(dataFolder, "postgresql", "PG_VERSION"));
  await writeFile(join(dataFolder, "postgresql", "letter.txt"), "dear robot");
  await expect(start()).rejects.toMatchObject({ code: "config_invalid" });
  expect(await readFile(join(dataFolder, "postgresql", "letter.txt"), "utf8")).toBe("dear robot");
});

test.runIf(isRoot)("a data folder below a closed one is refused with the name of the folder that blocks", async () => {
  await chmod(parent, 0o700);
  await expect(start()).rejects.toMatchObject({ code: "config_invalid", details: { folder: parent } });
});

test.runIf(isRoot)("binaries that the user can't reach are copied to the data folder, once for each version", async () => {
  const closed = join(parent, "closed");
  await mkdir(closed, { mode: 0o700 });
  const binaries = await findNativeBinaries();
  await cp(binaries.folder, join(closed, "native"), { recursive: true, verbatimSymlinks: true });
  await rm(dataFolder, { recursive: true });
  await mkdir(join(dataFolder, "postgresql-binaries-0.1"), { recursive: true });
  const user = await findServiceUser(0, silentLogger);
  const copy = await makeRunnable({ ...binaries, folder: join(closed, "native") }, dataFolder, user);
  expect(copy.folder).toBe(join(dataFolder, `postgresql-binaries-${binaries.packageVersion}`));
  expect(await makeRunnable({ ...binaries, folder: join(closed, "native") }, dataFolder, user)).toEqual(copy);
  expect(await readdir(dataFolder)).toHaveLength(1);
});

test("a machine that no binaries exist for is told about --database-url", async () => {
  await expect(findNativeBinaries("plan9", "x64")).rejects.toThrow("--database-url");
});
