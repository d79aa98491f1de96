import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { access } from "node:fs/promises";
import { AppError, DEFAULT_PROGRAM_TIMEOUT_S, formatDuration, type LifecycleProgram } from "@hardshare/protocol";
import { type Clock, Deferred, endProcessGroup, within } from "@hardshare/runtime";
import { resolveCommand } from "./command-line.ts";
import { killProcessesOfEvent } from "./labelled-processes.ts";
import { ProgramOutput } from "./program-output.ts";
import { DEPLOYMENT_VARIABLE, EVENT_VARIABLE, INSTANCE_VARIABLE, type ProgramPlace } from "./program-place.ts";

/** How long a program that is to end may take after SIGTERM before its group is killed. */
const END_GRACE_MS = 1000;
/** How long its last output is waited for after it has ended; only processes that lost its label can hold it open. */
const DRAIN_MS = 250;

export interface RunOptions {
  place: ProgramPlace;
  clock: Clock;
  /** Aborting ends the program's process group. */
  signal?: AbortSignal | undefined;
  /** What it writes, both streams, in bounded pieces. */
  onOutput: (text: string) => void;
}

/**
 * What became of a lifecycle program; `message` says it in words, `log` has the last lines it wrote. `isLeft`: it, or a
 * process of its group, could not be killed and goes on.
 */
export type ProgramOutcome = { isOk: true } | { isOk: false; message: string; log: string; isLeft?: true };

/**
 * Runs one lifecycle program on the host to its end, in a process group of its own. At the end all that it left behind
 * is killed, in its group and, by the label, outside: so programs of one event of an instance run one after the other.
 * Failing, hanging and not being startable are outcomes, not errors.
 * @throws AppError `cancelled` when aborted
 */
export async function runLifecycleProgram(program: LifecycleProgram, options: RunOptions): Promise<ProgramOutcome> {
  const { place, clock, signal } = options;
  const timeoutS = program.timeout ?? DEFAULT_PROGRAM_TIMEOUT_S;
  throwIfCancelled(signal, program);
  using output = new ProgramOutput({ emit: options.onOutput, clock });
  let child: ChildProcess;
  try {
    const argv = await resolveCommand(program.run, place);
    throwIfCancelled(signal, program); // whoever cancelled it has killed what there was, and goes on
    child = await startProgram(argv, place, "ignore");
  } catch (error) {
    throwIfCancelled(signal, program);
    return { isOk: false, message: `${program.run}: ${(error as Error).message}`, log: "" };
  }
  let stopped: "timeout" | "cancelled" | undefined;
  const stuck = new Deferred<never>();
  const stop = (why: "timeout" | "cancelled") => {
    stopped ??= why;
    endProcessGroup(child, END_GRACE_MS, clock).catch(stuck.reject);
  };
  const cancel = () => stop("cancelled");
  child.stdout?.on("data", (chunk: Buffer) => output.write(chunk, "stdout"));
  child.stderr?.on("data", (chunk: Buffer) => output.write(chunk, "stderr"));
  using _timeout = clock.after(timeoutS * 1000, () => stop("timeout"));
  signal?.addEventListener("abort", cancel, { once: true });
  if (signal?.aborted === true) cancel();
  try {
    await Promise.race([waitForEnd(child, place, clock), stuck.promise]);
  } catch (error) {
    return { isOk: false, message: `${program.run}: ${(error as Error).message}`, log: output.tail, isLeft: true };
  } finally {
    signal?.removeEventListener("abort", cancel);
    child.stdout?.destroy();
    child.stderr?.destroy();
  }
  if (stopped === "cancelled") throwIfCancelled(signal, program);
  if (stopped === undefined && child.exitCode === 0) return { isOk: true };
  const how =
    stopped === "timeout"
      ? `took longer than ${formatDuration(timeoutS)} and was killed`
      : child.exitCode === null
        ? `was killed by ${child.signalCode}`
        : `ended with exit code ${child.exitCode}`;
  return { isOk: false, message: `${program.run} ${how}`, log: output.tail };
}

/** Starts a program in a process group of its own. @throws AppError `program_failed` when it cannot be started */
export async function startProgram(argv: readonly string[], place: ProgramPlace, stdin: "ignore" | "pipe"): Promise<ChildProcess> {
  const [command = "", ...args] = [...place.launcher, ...argv];
  const child = spawn(command, args, { cwd: place.folder, env: place.env, detached: true, stdio: [stdin, "pipe", "pipe"] });
  try {
    await once(child, "spawn");
  } catch (cause) {
    // Node names the program in either case.
    const isFolderThere = await access(place.folder).then(
      () => true,
      () => false,
    );
    const why = isFolderThere ? (cause as Error).message : `its folder ${place.folder} is not there`;
    throw new AppError("program_failed", `${argv[0]} cannot be started: ${why}`, { cause });
  }
  return child;
}

/** Waits until a program has ended, kills what it left behind, and reads its last output. */
async function waitForEnd(child: ChildProcess, place: ProgramPlace, clock: Clock): Promise<void> {
  const closed = once(child, "close");
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  await endProcessGroup(child, 0, clock);
  const { [INSTANCE_VARIABLE]: instanceId, [DEPLOYMENT_VARIABLE]: deploymentId, [EVENT_VARIABLE]: event } = place.env;
  if (instanceId !== undefined && deploymentId !== undefined && event !== undefined)
    await killProcessesOfEvent({ instanceId, deploymentId }, event, clock);
  await within(clock, DRAIN_MS, closed);
}

function throwIfCancelled(signal: AbortSignal | undefined, program: LifecycleProgram): void {
  if (signal?.aborted === true) throw new AppError("cancelled", `${program.run} was cancelled`);
}
