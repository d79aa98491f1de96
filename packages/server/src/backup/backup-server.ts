/**
 * A backup of all that a server keeps: its database as it is at one moment, and its keys. Called by `hardshare backup`
 * and `restore`, beside a server that runs, or without one.
 */
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Connection, dumpDatabase, type DumpedRow, findPrivateConnection, restoreDatabase, startPrivateCluster } from "@hardshare/db";
import { AppError } from "@hardshare/protocol";
import { type Clock, lockFolder, type Logger, type Random, readTextIfThere, socketFolder, writeFileDurably } from "@hardshare/runtime";
import { type BackupLine, readBackup, writeBackup } from "./backup-file.ts";

/** What lies in the data folder beside the database and makes this server the one that hosts, hubs and tokens know. */
const FILES = ["identity", "identity.pub", "sealing.key", "token-signing.pem", "token-public.pem", "admin.token"] as const;

export interface BackupOptions {
  dataFolder: string;
  /** The database of `--database-url`; undefined: the private one of the data folder. */
  databaseUrl?: Connection | undefined;
  /** The backup. */
  file: string;
  signal: AbortSignal;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/**
 * Writes a backup.
 * @returns the number of rows
 * @throws AppError `not_found` when there is no server, `store_unavailable`, `conflict`
 */
export async function backupServer(options: BackupOptions): Promise<{ rows: number }> {
  const { dataFolder, file, clock } = options;
  const files: BackupLine[] = [];
  for (const name of FILES) {
    const text = await readTextIfThere(join(dataFolder, name));
    if (text !== undefined) files.push({ file: name, mode: (await stat(join(dataFolder, name))).mode & 0o777, text });
  }
  if (!files.some((line) => "file" in line && line.file === "identity")) {
    throw new AppError("not_found", `no server has kept anything in ${dataFolder}; name its folder with --data-dir`);
  }
  await using database = await openDatabase(options);
  await using dump = await dumpDatabase(database.connection);
  let rows = 0;
  async function* lines(): AsyncGenerator<BackupLine> {
    yield* files;
    for await (const row of dump.rows) {
      options.signal.throwIfAborted();
      rows += 1;
      yield { table: row.table, row: row.row };
    }
    yield { rows };
  }
  await writeBackup(file, { at: new Date(clock.now()).toISOString(), migrations: dump.migrations }, lines());
  return { rows };
}

/**
 * Makes the data folder of a server from a backup. Instances that live on a host and are newer than the backup end when
 * it connects; no epoch is ever given twice, since each host tells the highest that it has seen.
 * @throws AppError `conflict` when something is there already, `bad_input`, `version_mismatch`, `store_unavailable`
 */
export async function restoreServer(options: BackupOptions): Promise<{ rows: number; at: string }> {
  const { dataFolder, file } = options;
  await using backup = await readBackup(file);
  await using _lock = await lockFolder({ folder: dataFolder, name: "server.lock", holder: "a server" });
  const present = (await readdir(dataFolder)).filter((name) => !isOfLock(name));
  if (present.length > 0) {
    throw new AppError(
      "conflict",
      `${dataFolder} is not empty (${present.slice(0, 3).join(", ")}): restore into a new folder, and move it there afterwards`,
    );
  }
  try {
    return await fill(backup, options);
  } catch (error) {
    for (const name of await readdir(dataFolder)) {
      if (!isOfLock(name)) await rm(join(dataFolder, name), { recursive: true, force: true });
    }
    throw error;
  }
}

async function fill(backup: Awaited<ReturnType<typeof readBackup>>, options: BackupOptions): Promise<{ rows: number; at: string }> {
  const { dataFolder, file, signal, clock } = options;
  await using database = await openDatabase(options);
  const files: Extract<BackupLine, { file: string }>[] = [];
  let told: number | undefined;
  async function* rows(): AsyncGenerator<DumpedRow> {
    for await (const line of backup.lines) {
      signal.throwIfAborted();
      if ("file" in line) files.push(line);
      else if ("table" in line) yield line;
      else told = line.rows;
    }
    if (told !== undefined) return;
    throw new AppError("bad_input", `${file} is torn: its end is missing`);
  }
  const { header } = backup;
  const count = await restoreDatabase(database.connection, { migrations: header.migrations, rows: rows(), at: new Date(clock.now()) });
  if (told !== count) throw new AppError("bad_input", `${file} is damaged: it has ${count} rows and says ${told}`);
  for (const name of FILES) {
    const found = files.find((line) => line.file === name);
    if (found !== undefined) await writeFileDurably(join(dataFolder, name), found.text, found.mode);
  }
  return { rows: count, at: header.at };
}

function isOfLock(name: string): boolean {
  return name.startsWith("server.lock");
}

/** The database that a running server has started, or the same started for this. */
async function openDatabase(options: BackupOptions): Promise<{ connection: Connection } & AsyncDisposable> {
  const { dataFolder, databaseUrl, logger, random, signal } = options;
  const nothing = async () => {};
  if (databaseUrl !== undefined) return { connection: databaseUrl, [Symbol.asyncDispose]: nothing };
  const folder = socketFolder(dataFolder, { uid: process.getuid?.() ?? -1 });
  const running = await findPrivateConnection({ dataFolder, socketFolder: folder });
  if (running !== undefined) return { connection: running, [Symbol.asyncDispose]: nothing };
  return startPrivateCluster({ dataFolder, socketFolder: folder, logger, random, signal });
}
