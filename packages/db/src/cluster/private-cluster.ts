import { chmod, chown, mkdir, realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import pg from "pg";
import { AppError } from "@hardshare/protocol";
import {
  type Clock,
  type Logger,
  type Random,
  readTextIfThere,
  removeEmptyFolders,
  systemClock,
  writeFileDurably,
} from "@hardshare/runtime";
import type { ConnectionParts } from "../connection.ts";
import { CLUSTER_ROLE, ensureCluster } from "./create-cluster.ts";
import { lockDataFolder } from "./data-folder-lock.ts";
import { KeptPostgres } from "./kept-postgres.ts";
import { findNativeBinaries, makeRunnable } from "./native-binaries.ts";
import { checkReachable, makeReachableFolder } from "./reachable-folders.ts";
import { findServiceUser, type ServiceUser } from "./service-user.ts";

/** Only the name of the socket's file: nothing listens on TCP. */
const PORT = 5432;
/** Longest path of a Unix socket in bytes (unix(7): 108 with the final zero). */
const MAX_SOCKET_PATH_BYTES = 107;
const DATABASE = "hardshare";
/** SQLSTATE invalid_password. */
const WRONG_PASSWORD = "28P01";

/** A PostgreSQL of our own. Disposing it shuts it down in order. */
export interface PrivateCluster extends AsyncDisposable {
  readonly connection: ConnectionParts;
}

export interface PrivateClusterOptions {
  /** Everything lies here: `postgresql/`, its password, its locks. Made when missing. */
  dataFolder: string;
  /** A short folder for the socket (see `socketFolder` of runtime). Made when missing. */
  socketFolder: string;
  logger: Logger;
  /** Makes the password. */
  random: Random;
  clock?: Clock;
  /** Ends the start; not what was started. */
  signal?: AbortSignal;
}

/**
 * Starts the private PostgreSQL cluster of a data folder, making it the first time: full durability, a Unix socket
 * only, a random password. It ends with this process, however that ends, and is started again when it ends before. As
 * root it runs as an unprivileged user.
 * @throws AppError `conflict` when another server uses the folder, `config_invalid` when its user can't reach the folders,
 * `version_mismatch`, `store_unavailable` (binaries missing, disk full, …)
 */
export async function startPrivateCluster(options: PrivateClusterOptions): Promise<PrivateCluster> {
  const { logger, signal, clock = systemClock } = options;
  const user = await findServiceUser(process.getuid?.() ?? -1, logger);
  await makeReachableFolder(options.dataFolder, user);
  const dataFolder = await realpath(options.dataFolder);
  const clusterFolder = join(dataFolder, "postgresql");
  await checkReachable(dataFolder, user);
  const socketFolder = await makeSocketFolder(options.socketFolder, user);
  const lock = await lockDataFolder(join(dataFolder, "postgresql.lock"), dataFolder, signal);
  let postgres: KeptPostgres | undefined;
  const stop = async () => {
    await postgres?.[Symbol.asyncDispose]();
    await removeEmptyFolders(socketFolder, dirname(socketFolder));
    await lock[Symbol.asyncDispose]();
  };
  try {
    const binaries = await makeRunnable(await findNativeBinaries(), dataFolder, user);
    const password = await readOrMakePassword(join(dataFolder, "postgresql.password"), options.random);
    await ensureCluster({ clusterFolder, binaries, user, password, signal });
    const place = { binariesFolder: binaries.folder, clusterFolder, socketFolder, port: PORT };
    const runningFile = join(dataFolder, "postgresql.running");
    postgres = await KeptPostgres.start({ ...place, runningFile, user, logger, signal }, { clock, random: options.random });
    const connection = { host: socketFolder, port: PORT, user: CLUSTER_ROLE, password, database: DATABASE };
    await ensureDatabase(connection).catch((error: unknown) => {
      throw (error as { code?: string }).code === WRONG_PASSWORD ? lostPassword(dataFolder, error) : error;
    });
    return { connection, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The way to the cluster of a data folder that another process has started; undefined when none answers. */
export async function findPrivateConnection(options: { dataFolder: string; socketFolder: string }): Promise<ConnectionParts | undefined> {
  const password = await readTextIfThere(join(options.dataFolder, "postgresql.password"));
  if (password === undefined) return undefined;
  const connection = { host: join(options.socketFolder, "pg"), port: PORT, user: CLUSTER_ROLE, password, database: DATABASE };
  const client = new pg.Client(connection);
  client.on("error", () => {});
  try {
    await client.connect();
    return connection;
  } catch {
    return undefined;
  } finally {
    await client.end();
  }
}

async function makeSocketFolder(parent: string, user: ServiceUser | null): Promise<string> {
  const folder = join(parent, "pg");
  const socketBytes = Buffer.byteLength(join(folder, `.s.PGSQL.${PORT}`));
  if (socketBytes > MAX_SOCKET_PATH_BYTES) {
    throw new AppError(
      "config_invalid",
      `The folder for sockets, ${parent}, has too long a path: choose one of at most ${MAX_SOCKET_PATH_BYTES - socketBytes + Buffer.byteLength(parent)} bytes`,
    );
  }
  // Another part of hardshare may have made the folder of all socket folders, for itself alone.
  if (basename(dirname(parent)) === "hardshare") await makeReachableFolder(dirname(parent), user);
  await makeReachableFolder(parent, user);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  if (user !== null) await chown(folder, user.uid, user.gid);
  await checkReachable(folder, user);
  return folder;
}

async function readOrMakePassword(path: string, random: Random): Promise<string> {
  const existing = await readTextIfThere(path);
  if (existing !== undefined && existing !== "") return existing;
  const password = random.bytes(32).toString("base64url");
  await writeFileDurably(path, password);
  return password;
}

function lostPassword(dataFolder: string, cause: unknown): AppError {
  const file = join(dataFolder, "postgresql.password");
  return new AppError(
    "config_invalid",
    `${file} does not hold the password of the database beside it: restore this file from a backup of the data folder`,
    { cause, details: { file } },
  );
}

async function ensureDatabase(connection: ConnectionParts): Promise<void> {
  const client = new pg.Client({ ...connection, database: "postgres" });
  client.on("error", () => {}); // the query under way fails too, and says so
  await client.connect();
  try {
    const found = await client.query("select 1 from pg_database where datname = $1", [DATABASE]);
    if (found.rowCount === 0) await client.query(`create database ${DATABASE}`);
  } finally {
    await client.end();
  }
}
