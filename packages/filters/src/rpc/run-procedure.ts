import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type Clock, Deferred, endProcessGroup, within } from "@hardshare/runtime";
import type { HeldMemory } from "../http/held-body.ts";
import { HeldBytes } from "../http/held-bytes.ts";
import type { ProcedureCall } from "../rules/procedure.ts";

/** How long a procedure that is to end may take after SIGTERM before its group is killed. */
const END_GRACE_MS = 1000;
/** How long its last output is waited for after it has ended: only what it left behind can hold it open. */
const DRAIN_MS = 250;
/** What is kept of the end of standard error. */
const LAST_WORDS_BYTES = 2000;

interface RunProcedureOptions {
  readonly folder: string | undefined;
  readonly timeoutMs: number;
  readonly outputLimitBytes: number;
  /** For what it writes. */
  readonly memory: HeldMemory;
  readonly clock: Clock;
  /** Its caller has left: it is ended. */
  readonly signal: AbortSignal;
  /** Put before the command, so that it ends with the filter. */
  readonly launcher: readonly string[];
  readonly onStarted: (child: ChildProcess) => void;
}

/** What became of a procedure: its output, or what went wrong in words, with the exit status and the end of standard error. */
type ProcedureOutcome =
  | { readonly output: Buffer }
  | { readonly because: string; readonly isTimeout: boolean; readonly exitStatus: number | null; readonly stderr: string };

/**
 * Runs a program in a process group of its own to its end, and kills what it left behind there. Standard output is held,
 * because its exit status says whether it is the answer.
 */
export async function runProcedure({ argv, stdin }: ProcedureCall, options: RunProcedureOptions): Promise<ProcedureOutcome> {
  const { folder, timeoutMs, outputLimitBytes, memory, clock, signal, launcher } = options;
  const [command, ...args] = [...launcher, ...argv] as [string, ...string[]];
  const [name] = argv;
  const output = new HeldBytes();
  let lastWords = Buffer.alloc(0);
  let stopped: string | undefined;
  const fail = (because: string, exitStatus: number | null = null) => ({
    because,
    isTimeout: stopped?.startsWith("took") === true,
    exitStatus,
    stderr: lastWords.toString("utf8"),
  });
  let child: ChildProcess;
  try {
    child = spawn(command, args, { cwd: folder, detached: true, stdio: [stdin === undefined ? "ignore" : "pipe", "pipe", "pipe"] });
    if (child.pid === undefined) await once(child, "spawn"); // throws what keeps it from being started
  } catch (error) {
    return fail(`${name} cannot be started: ${(error as Error).message}`);
  }
  options.onStarted(child);
  const [exited, closed] = [once(child, "exit"), once(child, "close")];
  closed.catch(() => {}); // told by `exited`
  const stuck = new Deferred<never>();
  stuck.promise.catch(() => {});
  const stop = (why: string) => {
    if (stopped !== undefined) return;
    stopped = why;
    endProcessGroup(child, END_GRACE_MS, clock).catch(stuck.reject);
  };
  const leave = () => stop("was ended, because its caller has left");
  using _timeout = clock.after(timeoutMs, () => stop(`took longer than ${timeoutMs / 1000} s, and was killed`));
  signal.addEventListener("abort", leave, { once: true });
  if (signal.aborted) leave();
  child.stdout?.on("data", (chunk: Buffer) => {
    if (stopped !== undefined) return;
    if (output.size + chunk.length > outputLimitBytes) stop(`wrote more than ${outputLimitBytes} bytes, and was killed`);
    else if (!memory.take(chunk.length)) stop("was killed, because the filter holds as much as it can");
    else output.add(chunk);
  });
  child.stderr?.on("data", (chunk: Buffer) => (lastWords = Buffer.concat([lastWords, chunk]).subarray(-LAST_WORDS_BYTES)));
  child.stdin?.on("error", () => {}); // it does not read it
  child.stdin?.end(stdin);
  try {
    await Promise.race([exited, stuck.promise]);
    await endProcessGroup(child, 0, clock);
    await within(clock, DRAIN_MS, closed);
  } catch (error) {
    return fail(`${name}: ${(error as Error).message}`);
  } finally {
    signal.removeEventListener("abort", leave);
    child.stdout?.destroy();
    child.stderr?.destroy();
    memory.give(output.size);
  }
  if (stopped !== undefined) return fail(`${name} ${stopped}`);
  if (child.exitCode === 0) return { output: output.all };
  return child.exitCode === null
    ? fail(`${name} was killed by ${child.signalCode}`)
    : fail(`${name} ended with exit status ${child.exitCode}`, child.exitCode);
}
