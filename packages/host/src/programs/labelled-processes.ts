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
  const label = `${INSTANCE_VARIABLE}=${instanceId}`;
  const ownNamespace = await readlink("/proc/self/ns/pid").catch(() => undefined);
  if (ownNamespace === undefined) return []; // no /proc here: process groups alone have to do
  const found = await Promise.all(
    (await readdir("/proc"))
      .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
      .map(async (pid) => {
        try {
          const environment = (await readFile(`/proc/${pid}/environ`, "latin1")).split("\0");
          if (!environment.includes(label)) return undefined;
          if (exceptEvents.some((event) => environment.includes(`${EVENT_VARIABLE}=${event}`))) return undefined;
          return (await readlink(`/proc/${pid}/ns/pid`)) === ownNamespace ? Number(pid) : undefined;
        } catch {
          return undefined; // gone meanwhile, or another user's
        }
      }),
  );
  return found.filter((pid) => pid !== undefined);
}

/**
 * Kills all processes of an instance on the host.
 * @param exceptEvents leaves the programs of these events alone
 * @throws AppError `internal` that names those which are still there after two seconds
 */
export async function killLabelledProcesses(instanceId: string, clock: Clock, exceptEvents: readonly string[] = []): Promise<void> {
  const until = clock.monotonicMs() + GONE_WITHIN_MS;
  for (;;) {
    const left = await findLabelledProcesses(instanceId, exceptEvents);
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
