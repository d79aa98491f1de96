import { closeSync, openSync, readFileSync, readlinkSync, readSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { AppError } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import { DEPLOYMENT_VARIABLE, EVENT_VARIABLE, INSTANCE_VARIABLE } from "./program-place.ts";

/** How long killed processes may take to be gone (one in uninterruptible sleep is not). */
const GONE_WITHIN_MS = 2000;
const LOOK_AGAIN_MS = 10;
/** How often it is looked again because something that was seen could not be judged; on a busy computer there always is. */
const MAX_DOUBTS = 3;
const PIDS_AT_ONCE = 64;
const CHUNK_BYTES = 32 * 1024;
/** Parent of all threads of the kernel, which have no environment. */
const KERNEL_PARENT = 2;

/**
 * Kills all processes of an instance on the host.
 * @param exceptEvents leaves the programs of these events alone
 * @throws AppError `internal` that names those which are still there after two seconds
 */
export function killLabelledProcesses(instanceId: string, clock: Clock, exceptEvents: readonly string[] = []): Promise<void> {
  return killAll(labelOf(instanceId), (event) => !exceptEvents.includes(event), clock);
}

/**
 * Kills the processes of one event of an instance on the host; where no instance is (""), those of the deployment.
 * @throws AppError as `killLabelledProcesses`
 */
export function killProcessesOfEvent(of: { instanceId: string; deploymentId: string }, event: string, clock: Clock): Promise<void> {
  const label = of.instanceId === "" ? `${DEPLOYMENT_VARIABLE}=${of.deploymentId}` : labelOf(of.instanceId);
  return killAll(label, (each) => each === event, clock);
}

/**
 * Kills the processes of some events of a deployment on the host, whatever their instance.
 * @throws AppError as `killLabelledProcesses`
 */
export function killProcessesOfDeployment(deploymentId: string, isMeant: (event: string) => boolean, clock: Clock): Promise<void> {
  return killAll(`${DEPLOYMENT_VARIABLE}=${deploymentId}`, isMeant, clock);
}

/**
 * Kills all processes in an instance's container, without its engine, which may hang. The container itself is left.
 * @param of `containerId` as the engine gave it, where it is known: programs that write over their environment, as OpenSSH
 * does, are found by it alone
 * @throws AppError `internal` that names those which are still there after two seconds
 */
export function killContainerProcesses(of: { instanceId: string; containerId: string | undefined }, clock: Clock): Promise<void> {
  const label = labelOf(of.instanceId);
  const isInside = (pid: number) =>
    isLabelled(readEnvironment(pid), label, () => true) || (of.containerId !== undefined && isInCgroupOf(pid, of.containerId));
  return killUntilGone(() => lookIntoContainer(isInside), clock);
}

/**
 * The same for the containers of all instances of a deployment, whatever they are, as far as their processes say so.
 * @throws AppError as `killContainerProcesses`
 */
export function killContainersOfDeployment(deploymentId: string, clock: Clock): Promise<void> {
  const label = `${DEPLOYMENT_VARIABLE}=${deploymentId}`;
  return killUntilGone(() => lookIntoContainer((pid) => isLabelled(readEnvironment(pid), label, () => true)), clock);
}

function killAll(label: string, isMeant: (event: string) => boolean, clock: Clock): Promise<void> {
  const search: Search = { label, isMeant, others: new Set([process.pid]) };
  return killUntilGone(() => lookForLabelled(search), clock);
}

async function killUntilGone(lookAround: () => Promise<Look>, clock: Clock): Promise<void> {
  const until = clock.monotonicMs() + GONE_WITHIN_MS;
  let blank: ReadonlySet<number> = new Set();
  for (let doubts = 0; ;) {
    const look = await lookAround();
    if (look.found.length === 0) {
      const isDoubtful = look.hasMissed || [...look.blank].some((pid) => !blank.has(pid));
      if (!isDoubtful || (doubts += 1) > MAX_DOUBTS) return;
    } else if (clock.monotonicMs() > until) {
      throw new AppError("internal", `process ${look.found.join(", ")} cannot be killed`);
    }
    blank = look.blank;
    for (const pid of look.found) kill(pid);
    // Nobody is told of the end of a process that is not one's child.
    await new Promise<void>((resolve) => clock.after(LOOK_AGAIN_MS, resolve));
  }
}

interface Search {
  label: string;
  isMeant: (event: string) => boolean;
  /** Processes that are not looked for, once they were looked at. */
  others: Set<number>;
}

/** What one look at all processes of this computer showed. */
interface Look {
  found: readonly number[];
  /** Whether some had ended before they were looked at: a child that they had made meanwhile was not seen. */
  hasMissed: boolean;
  /** Those without an environment: for a moment each has none, while it becomes another program. */
  blank: ReadonlySet<number>;
}

/**
 * Looks for processes on the host that belong to an instance, by their environment: also those that left their process
 * group, and those that a killed daemon left behind. Processes of other pid namespaces (containers) are not counted.
 */
async function lookForLabelled({ label, isMeant, others }: Search): Promise<Look> {
  const found: number[] = [];
  const blank = new Set<number>();
  const own = ownNamespace();
  if (own === undefined) return { found, hasMissed: false, blank }; // no /proc here: process groups alone have to do
  const { hasMissed } = await lookAtEach(others, (pid) => {
    const environment = readEnvironment(pid);
    if (environment.length === 0 && canHaveEnvironment(pid)) blank.add(pid);
    else if (isLabelled(environment, label, isMeant) && namespaceOf(pid) === own) found.push(pid);
    else others.add(pid);
  });
  return { found, hasMissed, blank };
}

/** Looks for processes of an instance's container: all in a pid namespace in which one is known to be inside. */
async function lookIntoContainer(isInside: (pid: number) => boolean): Promise<Look> {
  const own = ownNamespace();
  const namespaces = new Set<string>();
  const others = new Set([process.pid]);
  await lookAtEach(others, (pid) => {
    if (isInside(pid)) namespaces.add(namespaceOf(pid));
  });
  if (own !== undefined) namespaces.delete(own); // such as the engine's own watcher of the container
  const found: number[] = [];
  if (namespaces.size > 0) await lookAtEach(others, (pid) => void (namespaces.has(namespaceOf(pid)) && found.push(pid)));
  return { found, hasMissed: false, blank: new Set() };
}

/** @returns whether some had ended meanwhile; those of other users, which cannot be looked at, become others */
async function lookAtEach(others: Set<number>, look: (pid: number) => void): Promise<{ hasMissed: boolean }> {
  let hasMissed = false;
  const pids = (await readdir("/proc")).map(Number).filter((pid) => pid > 0 && !others.has(pid));
  for (const [index, pid] of pids.entries()) {
    // Read at once, which takes a fifth of the time, but for so many only that the daemon can do other things as well.
    if (index % PIDS_AT_ONCE === PIDS_AT_ONCE - 1) await new Promise((resolve) => setImmediate(resolve));
    try {
      look(pid);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT" || code === "ESRCH") hasMissed = true;
      else others.add(pid);
    }
  }
  return { hasMissed };
}

function labelOf(instanceId: string): string {
  return `${INSTANCE_VARIABLE}=${instanceId}`;
}

function namespaceOf(pid: number | "self"): string {
  return readlinkSync(`/proc/${pid}/ns/pid`);
}

/** Engines name the control group of a container, and those around it, after its id. */
function isInCgroupOf(pid: number, containerId: string): boolean {
  return readFileSync(`/proc/${pid}/cgroup`, "latin1").includes(containerId);
}

function ownNamespace(): string | undefined {
  try {
    return namespaceOf("self");
  } catch {
    return undefined;
  }
}

function readEnvironment(pid: number): Buffer {
  const file = openSync(`/proc/${pid}/environ`, "r");
  try {
    const chunks: Buffer[] = [];
    for (;;) {
      const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
      const bytes = readSync(file, chunk);
      if (bytes === 0) return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
      chunks.push(chunk.subarray(0, bytes));
    }
  } finally {
    closeSync(file);
  }
}

function isLabelled(environment: Buffer, label: string, isMeant: (event: string) => boolean): boolean {
  if (!environment.includes(label)) return false;
  const entries = environment.toString("latin1").split("\0");
  if (!entries.includes(label)) return false;
  const event = entries.find((entry) => entry.startsWith(`${EVENT_VARIABLE}=`))?.slice(EVENT_VARIABLE.length + 1);
  return isMeant(event ?? "");
}

/** False for what has ended and was not yet waited for, and for threads of the kernel. */
function canHaveEnvironment(pid: number): boolean {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const [state = "", parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return !"ZX".includes(state) && Number(parent) !== KERNEL_PARENT && pid !== KERNEL_PARENT;
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Gone meanwhile; another user's is reported as left.
  }
}
