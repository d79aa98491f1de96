import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chown, readFile, readlink, realpath, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { AppError } from "@hardshare/protocol";
import { LOCK_HELD_EXIT_CODE, type Logger } from "@hardshare/runtime";
import type { ServiceUser } from "./service-user.ts";

/** How long an older PostgreSQL of this folder may take to shut down. */
const PREDECESSOR_PATIENCE_S = 60;
/** How long each way of stopping may take before the next, harder one: fast, immediate, kill. */
const STOP_PATIENCE_MS = 20_000;
/** Lines of its log that are kept for the message when it fails. */
const KEPT_LINES = 20;

/** Moderate sizes: a machine beside a robot has little memory. Durability stays as PostgreSQL's defaults have it: full. */
const SETTINGS: Record<string, string> = {
  listen_addresses: "",
  unix_socket_permissions: "0700",
  max_connections: "60",
  shared_buffers: "32MB",
  max_wal_size: "256MB",
  io_method: "sync",
  jit: "off",
  log_checkpoints: "off",
  log_line_prefix: "",
};

/** A running postgres, our child. */
export interface PostgresProcess extends AsyncDisposable {
  readonly ended: Promise<void>;
}

export interface PostgresOptions {
  /** Folder that contains `bin/postgres`. */
  binariesFolder: string;
  clusterFolder: string;
  /** A file beside it, locked as long as any process of this cluster lives. */
  runningFile: string;
  socketFolder: string;
  port: number;
  user: ServiceUser | null;
  logger: Logger;
  signal?: AbortSignal | undefined;
}

/**
 * Starts postgres as a child that shuts down when this process ends in any way, and waits until it takes connections.
 * A predecessor that is still there (its server was killed) is stopped first. The caller holds the data folder's lock.
 */
export async function startPostgres(options: PostgresOptions): Promise<PostgresProcess> {
  const { user, signal } = options;
  signal?.throwIfAborted();
  await writeFile(options.runningFile, "", { flag: "a", mode: 0o600 });
  if (user !== null) await chown(options.runningFile, user.uid, user.gid);
  await stopPredecessor(options.clusterFolder, options.logger);
  const child = spawn("setpriv", ["--pdeathsig", "INT", "flock", ...lockedCommand(options)], {
    cwd: "/",
    env: { PATH: "/usr/bin:/bin", TZ: "UTC" },
    stdio: ["ignore", "ignore", "pipe"],
    detached: true, // a Ctrl-C in the terminal is for the server, which then stops it in order
    ...(user === null ? {} : { uid: user.uid, gid: user.gid }),
  });
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  const abort = () => child.kill("SIGINT");
  signal?.addEventListener("abort", abort, { once: true });
  try {
    await waitUntilReady(child, options);
  } catch (error) {
    await stop(child, ended);
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
  return { ended, [Symbol.asyncDispose]: () => stop(child, ended) };
}

/**
 * What runs under the lock: with it held, no process of this cluster lives, so the pid files that a killed one left are
 * stale, even when their number belongs to somebody else now, or to a zombie that nobody reaps; postgres can't tell.
 */
function lockedCommand(options: PostgresOptions): string[] {
  const lock = ["--wait", String(PREDECESSOR_PATIENCE_S), "--conflict-exit-code", String(LOCK_HELD_EXIT_CODE), "--no-fork"];
  const settings = { ...SETTINGS, unix_socket_directories: options.socketFolder, port: String(options.port) };
  const arguments_ = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const script = 'rm -f "$1" "$2" && shift 2 && exec "$@"';
  const pidFiles = [join(options.clusterFolder, "postmaster.pid"), join(options.socketFolder, `.s.PGSQL.${options.port}.lock`)];
  const postgres = [join(options.binariesFolder, "bin", "postgres"), "-D", options.clusterFolder, ...arguments_];
  return [...lock, options.runningFile, "/bin/sh", "-c", script, "sh", ...pidFiles, ...postgres];
}

async function waitUntilReady(child: ChildProcess, options: PostgresOptions): Promise<void> {
  const lastLines: string[] = [];
  await new Promise<void>((resolve, reject) => {
    child.once("error", (cause) => {
      reject(new AppError("store_unavailable", "PostgreSQL can't be started: setpriv (Debian package util-linux) is missing", { cause }));
    });
    const lines = child.stderr === null ? undefined : createInterface({ input: child.stderr });
    lines?.on("line", (line) => {
      if (lastLines.push(line) > KEPT_LINES) lastLines.shift();
      log(line, options.logger);
      if (line.includes("database system is ready to accept connections")) resolve();
    });
    child.once("close", (exitCode) => reject(failedStart(exitCode, lastLines.join("\n"), options)));
  });
}

function failedStart(exitCode: number | null, log: string, options: PostgresOptions): AppError {
  const details = { exitCode };
  if (exitCode === LOCK_HELD_EXIT_CODE) {
    return new AppError(
      "store_unavailable",
      `An older PostgreSQL still runs on ${options.clusterFolder} and did not stop within ${PREDECESSOR_PATIENCE_S} s. End it, then start again`,
      { details },
    );
  }
  const what = log.includes("No space left on device")
    ? `The disk is full: free some space at ${options.clusterFolder}`
    : `PostgreSQL did not start on ${options.clusterFolder}`;
  return new AppError("store_unavailable", `${what}: ${log.trim().slice(-2000) || `it ended with code ${String(exitCode)}`}`, { details });
}

function log(line: string, logger: Logger): void {
  if (/^(FATAL|PANIC):/.test(line)) logger.warn(line);
  else logger.debug(line);
}

/** Fast shutdown (sessions are ended, a checkpoint is written), then immediate, then kill. */
async function stop(child: ChildProcess, ended: Promise<void>): Promise<void> {
  for (const signal of ["SIGINT", "SIGQUIT", "SIGKILL"] as const) {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([ended, new Promise((resolve) => (timer = setTimeout(resolve, STOP_PATIENCE_MS)))]);
    clearTimeout(timer);
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
}

/** Asks the postgres that a killed server left behind to end; that it is gone is known by the lock. */
async function stopPredecessor(clusterFolder: string, logger: Logger): Promise<void> {
  try {
    const pid = Number((await readFile(join(clusterFolder, "postmaster.pid"), "utf8")).split("\n")[0]);
    // The number may belong to a stranger by now: postgres stands in its folder.
    if ((await readlink(`/proc/${pid}/cwd`)) !== (await realpath(clusterFolder))) return;
    process.kill(pid, "SIGINT");
    logger.info("stopping the PostgreSQL that a killed server left behind", { pid });
  } catch (error) {
    if (!["ENOENT", "ESRCH", "EACCES"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  }
}
