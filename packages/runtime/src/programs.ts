import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { AppError } from "@hardshare/protocol";
import { type Clock, systemClock } from "./clock.ts";
import { Deferred } from "./deferred.ts";

/** How long a process that got SIGKILL may take to end (one in uninterruptible sleep does not). */
const KILLED_WITHIN_MS = 2000;
const LOOK_AGAIN_MS = 10;

/**
 * Ends a child's whole process group: SIGTERM, then SIGKILL after `graceMs`; resolves when the child has ended.
 * @throws AppError `internal` when it, or what it left in its group, is still there two seconds after SIGKILL, or is
 *   another user's
 */
export async function endProcessGroup(child: ChildProcess, graceMs: number, clock: Clock = systemClock): Promise<void> {
  const pid = child.pid;
  if (pid === undefined) return;
  if (child.exitCode === null && child.signalCode === null) await endChild(child, pid, graceMs, clock);
  await killRest(pid, clock);
}

async function endChild(child: ChildProcess, pid: number, graceMs: number, clock: Clock): Promise<void> {
  const giveUp = new Deferred<never>();
  signalGroup(pid, "SIGTERM");
  let timer = clock.after(graceMs, () => {
    signalGroup(pid, "SIGKILL");
    timer = clock.after(KILLED_WITHIN_MS, () => giveUp.reject(unkillable(pid)));
  });
  try {
    await Promise.race([once(child, "exit"), giveUp.promise]);
  } finally {
    timer[Symbol.dispose]();
  }
}

/** Kills what a child that has ended left behind in its group. */
async function killRest(pid: number, clock: Clock): Promise<void> {
  const until = clock.monotonicMs() + KILLED_WITHIN_MS;
  while (!signalGroup(pid, "SIGKILL")) {
    if (clock.monotonicMs() >= until) throw unkillable(pid);
    // Another user's process may be about to end; nobody is told of the end of one that is not one's child.
    await new Promise<void>((resolve) => clock.after(LOOK_AGAIN_MS, resolve));
  }
}

function unkillable(pid: number): AppError {
  return new AppError("internal", `process ${pid} cannot be killed`);
}

/**
 * Sends a signal to a process group; a group that is gone is fine.
 * @returns false when all that is in it belongs to other users (a program that gave itself root's rights): it goes on
 */
export function signalGroup(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EPERM") return false;
    if (code !== "ESRCH") throw error;
  }
  return true;
}

/** Result of a finished program. */
export interface ProgramResult {
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  /** At most `maxOutputBytes` of each; the rest is dropped. */
  stdout: string;
  stderr: string;
}

/**
 * Runs a program to its end and collects its output. Standard input is empty. Rejects only when it cannot be started
 * or `signal` is aborted (then the whole process group is killed first).
 */
export async function runProgram(
  command: string,
  args: readonly string[],
  options: SpawnOptions & { signal?: AbortSignal | undefined; maxOutputBytes?: number; input?: string | undefined } = {},
): Promise<ProgramResult> {
  const { signal, maxOutputBytes = 1024 * 1024, input, ...spawnOptions } = options;
  signal?.throwIfAborted();
  const child = spawn(command, args, { ...spawnOptions, detached: true, stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"] });
  if (input !== undefined) {
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
  }
  const stdout = collect(child.stdout, maxOutputBytes);
  const stderr = collect(child.stderr, maxOutputBytes);
  const abort = () => {
    if (child.pid !== undefined) signalGroup(child.pid, "SIGKILL");
  };
  signal?.addEventListener("abort", abort, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", () => resolve());
    });
  } finally {
    signal?.removeEventListener("abort", abort);
  }
  signal?.throwIfAborted();
  return { exitCode: child.exitCode, signal: child.signalCode, stdout: stdout(), stderr: stderr() };
}

function collect(stream: NodeJS.ReadableStream | null, maxBytes: number): () => string {
  const chunks: Buffer[] = [];
  let size = 0;
  stream?.on("data", (chunk: Buffer) => {
    if (size >= maxBytes) return;
    chunks.push(chunk.subarray(0, maxBytes - size));
    size += chunk.length;
  });
  return () => Buffer.concat(chunks).toString("utf8");
}

/** The launcher by which the kernel kills a child when its parent ends (util-linux; not on every system). */
export async function findLauncher(): Promise<readonly string[]> {
  const launcher = ["setpriv", "--pdeathsig", "KILL", "--"];
  try {
    const result = await runProgram("setpriv", [...launcher.slice(1), "true"]);
    return result.exitCode === 0 ? launcher : [];
  } catch {
    return [];
  }
}
