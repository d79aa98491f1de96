import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";

/** Ends a child's whole process group: SIGTERM, then SIGKILL after `graceMs`; resolves when the child has ended. */
export async function endProcessGroup(child: ChildProcess, graceMs: number): Promise<void> {
  const pid = child.pid;
  if (pid === undefined) return;
  if (child.exitCode !== null || child.signalCode !== null) {
    signalGroup(pid, "SIGKILL"); // what it left behind in its group
    return;
  }
  const ended = once(child, "exit");
  signalGroup(pid, "SIGTERM");
  const timer = setTimeout(() => signalGroup(pid, "SIGKILL"), graceMs);
  try {
    await ended;
  } finally {
    clearTimeout(timer);
    signalGroup(pid, "SIGKILL");
  }
}

/** Sends a signal to a process group; a group that is gone is fine. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
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
