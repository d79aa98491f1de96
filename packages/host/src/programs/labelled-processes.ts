import { readdir, readFile, readlink } from "node:fs/promises";
import { AppError } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import { EVENT_VARIABLE, INSTANCE_VARIABLE } from "./program-place.ts";

/** How long killed processes may take to be gone (one in uninterruptible sleep is not). */
const GONE_WITHIN_MS = 2000;
const LOOK_AGAIN_MS = 10;

/**
 * Processes on the host that belong to an instance, found by their environment: also those that left their process
 * group, and those that a killed daemon left behind. Processes of other pid namespaces (containers) are not counted.
 */
async function findLabelledProcesses(instanceId: string, exceptEvents: readonly string[]): Promise<number[]> {
  const own = await ownNamespace();
  if (own === undefined) return []; // no /proc here: process groups alone have to do
  return findProcesses(async (pid) => {
    const environment = await environmentOf(pid);
    if (!environment.includes(`${INSTANCE_VARIABLE}=${instanceId}`)) return false;
    if (exceptEvents.some((event) => environment.includes(`${EVENT_VARIABLE}=${event}`))) return false;
    return (await namespaceOf(pid)) === own;
  });
}

/** Processes of an instance's container: all in a pid namespace in which one has the container's environment. */
async function findContainerProcesses(instanceId: string): Promise<number[]> {
  const own = await ownNamespace();
  if (own === undefined) return [];
  const namespaces = new Set<string>();
  await findProcesses(async (pid) => {
    if (!(await environmentOf(pid)).includes(`${INSTANCE_VARIABLE}=${instanceId}`)) return false;
    const namespace = await namespaceOf(pid);
    if (namespace !== own) namespaces.add(namespace);
    return false;
  });
  return namespaces.size === 0 ? [] : findProcesses(async (pid) => namespaces.has(await namespaceOf(pid)));
}

async function findProcesses(isWanted: (pid: string) => Promise<boolean>): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  // One that is gone meanwhile, or another user's, is not ours.
  const found = await Promise.all(pids.map((pid) => isWanted(pid).catch(() => false)));
  return pids.flatMap((pid, index) => (found[index] === true ? [Number(pid)] : []));
}

async function environmentOf(pid: string): Promise<string[]> {
  return (await readFile(`/proc/${pid}/environ`, "latin1")).split("\0");
}

function namespaceOf(pid: string): Promise<string> {
  return readlink(`/proc/${pid}/ns/pid`);
}

function ownNamespace(): Promise<string | undefined> {
  return namespaceOf("self").catch(() => undefined);
}

/**
 * Kills all processes of an instance on the host.
 * @param exceptEvents leaves the programs of these events alone
 * @throws AppError `internal` that names those which are still there after two seconds
 */
export async function killLabelledProcesses(instanceId: string, clock: Clock, exceptEvents: readonly string[] = []): Promise<void> {
  await killUntilGone(() => findLabelledProcesses(instanceId, exceptEvents), clock);
}

/**
 * Kills all processes in an instance's container, without its engine, which may hang. The container itself is left.
 * @throws AppError `internal` that names those which are still there after two seconds
 */
export async function killContainerProcesses(instanceId: string, clock: Clock): Promise<void> {
  await killUntilGone(() => findContainerProcesses(instanceId), clock);
}

async function killUntilGone(find: () => Promise<number[]>, clock: Clock): Promise<void> {
  const until = clock.monotonicMs() + GONE_WITHIN_MS;
  for (;;) {
    const left = await find();
    if (left.length === 0) return;
    if (clock.monotonicMs() > until) throw new AppError("internal", `process ${left.join(", ")} cannot be killed`);
    for (const pid of left) kill(pid);
    // Nobody is told of the end of a process that is not one's child.
    await new Promise<void>((resolve) => clock.after(LOOK_AGAIN_MS, resolve));
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Gone meanwhile; another user's is reported as left.
  }
}
