import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AppError, toAppError } from "@hardshare/protocol";
import { makePrivateFolder } from "@hardshare/runtime";
import { orAborted } from "../engine/call-limits.ts";
import type { ContainerFile, ContainerSpec, Engine } from "../engine/engine.ts";
import { missingImage } from "../image/missing-image.ts";
import type { InstanceParts } from "./instance-parts.ts";

/** Labels by which containers are found again. */
export const LABELS = {
  instance: "io.hardshare.instance",
  epoch: "io.hardshare.epoch",
  deployment: "io.hardshare.deployment",
  host: "io.hardshare.host",
} as const;

/** For images that name no command of their own: foreground, log to standard error. */
const DEFAULT_COMMAND = ["/usr/sbin/sshd", "-D", "-e"];
const TAIL_LINES = 20;
/** How long a container is waited for whose creation the engine did not answer for. */
const APPEARS_WITHIN_MS = 10_000;
const LOOK_AGAIN_MS = 200;

/** Creates the container; nothing runs in it yet. */
export async function createContainer(parts: InstanceParts, signal: AbortSignal): Promise<void> {
  const { facts, contract, tools } = parts;
  const engine = await parts.engine();
  const image = await engine.inspectImage(contract.image, { signal });
  if (image === undefined) {
    throw missingImage(contract.image, parts.containerProvider, "launch again");
  }
  // Of an instance that could not be undone, before its owner lifted the lock-out.
  for (const left of await engine.listContainers({ [LABELS.deployment]: facts.deploymentId, [LABELS.host]: tools.hostId }, { signal })) {
    await engine.removeContainer(left.id, { signal });
  }
  // Not cut short: the engine would go on, and the container appear after it was looked for.
  signal.throwIfAborted();
  const spec: ContainerSpec = {
    image: contract.image,
    name: `hardshare-${facts.instanceId}`,
    hostname: `hs-${facts.instanceId.slice(0, 8)}`,
    labels: {
      [LABELS.instance]: facts.instanceId,
      [LABELS.epoch]: String(facts.epoch),
      [LABELS.deployment]: facts.deploymentId,
      [LABELS.host]: tools.hostId,
    },
    env: containerEnvironment(parts),
    command: image.command.length > 0 ? undefined : DEFAULT_COMMAND,
    limits: { memoryBytes: contract.limits.memory, cpus: contract.limits.cpus, pids: contract.limits.pids },
    devices: contract.devices,
    mounts: [...parts.deviceFiles, ...(await nameSettings(parts))],
    network: "none",
  };
  try {
    parts.containerId = await engine.createContainer(spec);
  } catch (error) {
    parts.mayContainerAppear = isUnanswered(toAppError(error));
    throw error;
  }
}

/** Where programs in the container learn whom to ask for names, which its root cannot change; none where it is isolated. */
async function nameSettings({ contract, stateFolder }: InstanceParts): Promise<NonNullable<ContainerSpec["mounts"]>> {
  if (contract.network === "isolated") return [];
  await makePrivateFolder(stateFolder);
  const file = join(stateFolder, "resolv.conf");
  await writeFile(file, "nameserver 127.0.0.1\noptions edns0\n", { mode: 0o644 });
  return [{ host: file, inside: "/etc/resolv.conf", isReadOnly: true }];
}

/** Whether the engine may still do what it was asked: it did not say that it failed. */
function isUnanswered({ code, details }: AppError): boolean {
  return code === "timed_out" || (code === "engine_failed" && details["status"] === undefined);
}

/** Finds the container that a daemon before left running. @throws AppError `engine_failed` when it does not run any more */
export async function adoptContainer(parts: InstanceParts, signal: AbortSignal): Promise<void> {
  const engine = await orAborted(parts.engine(), signal);
  const found = await engine.listContainers({ [LABELS.instance]: parts.facts.instanceId }, { signal });
  parts.containerId = found.find((container) => container.isRunning)?.id;
  if (parts.containerId === undefined) throw new AppError("engine_failed", "its container ended while the host daemon did not run");
}

/** Puts the user's keys and the environment of login sessions into the container. */
export async function putKeys(parts: InstanceParts, signal: AbortSignal): Promise<void> {
  const owner = { uid: 0, gid: 0 };
  const variables = Object.entries(containerEnvironment(parts));
  const lines = (entries: typeof variables) => entries.map(([name, value]) => `${name}=${value}\n`).join("");
  const files: ContainerFile[] = [
    { path: "root/.ssh", mode: 0o700, ...owner },
    { path: "root/.ssh/authorized_keys", mode: 0o600, ...owner, content: parts.facts.publicKeys.map((key) => `${key}\n`).join("") },
    // Our images' SSH server reads the first; PAM the second, whose values end at a "#" and go before the first's.
    { path: "root/.ssh/environment", mode: 0o600, ...owner, content: lines(variables) },
    { path: "etc/environment", mode: 0o644, ...owner, content: lines(variables.filter(([, value]) => !value.includes("#"))) },
  ];
  const engine = await parts.engine();
  await engine.putFiles(containerOf(parts), "/", files, { signal });
}

export async function startContainer(parts: InstanceParts, signal: AbortSignal): Promise<void> {
  const engine = await parts.engine();
  await engine.startContainer(containerOf(parts), { signal });
}

export function containerOf(parts: InstanceParts): string {
  if (parts.containerId === undefined) throw new AppError("internal", "the container was not created");
  return parts.containerId;
}

/**
 * Removes every container of the instance, known or not. One whose creation the engine did not answer for is waited for.
 * @throws AppError `timed_out` when it does not appear: it may do so later
 */
export async function removeContainers(parts: InstanceParts): Promise<void> {
  const { clock } = parts.tools;
  const engine = await parts.engine();
  const until = clock.monotonicMs() + APPEARS_WITHIN_MS;
  for (;;) {
    for (const container of await engine.listContainers({ [LABELS.instance]: parts.facts.instanceId })) {
      await engine.removeContainer(container.id);
      parts.mayContainerAppear = false;
    }
    if (!parts.mayContainerAppear) return;
    if (clock.monotonicMs() >= until) {
      throw new AppError("timed_out", "the container engine did not say whether it created the container, which may still appear");
    }
    // Engines tell of what ends, not of a creation that they gave no answer to.
    await new Promise<void>((resolve) => clock.after(LOOK_AGAIN_MS, resolve));
  }
}

/** @throws AppError `internal` when a container of the instance is left */
export async function verifyNoContainer(parts: InstanceParts): Promise<void> {
  const engine = await parts.engine();
  const left = await engine.listContainers({ [LABELS.instance]: parts.facts.instanceId });
  if (left.length > 0) throw new AppError("internal", `container ${left.map((container) => container.name).join(", ")} is still there`);
}

/** What the container's first process said, when it has ended; else undefined. */
export async function describeDeadContainer(engine: Engine, id: string): Promise<{ message: string; log: string } | undefined> {
  try {
    const facts = await engine.inspectContainer(id);
    if (facts.isRunning) return undefined;
    const why = facts.isOutOfMemory ? "it used more memory than its limit" : `exit code ${facts.exitCode ?? "unknown"}`;
    return { message: `the container ended: ${why}`, log: await engine.tailLogs(id, TAIL_LINES) };
  } catch {
    return undefined; // the first failure tells more than that its circumstances can't be had
  }
}

function containerEnvironment(parts: InstanceParts): Record<string, string> {
  const { facts, contract } = parts;
  const services = parts.servicePlaces.map(({ name, port }) => [name, `127.0.0.1:${port}`]);
  return {
    ...contract.env,
    HARDSHARE_INSTANCE: facts.instanceId,
    HARDSHARE_DEPLOYMENT: facts.deploymentId,
    HARDSHARE_USER: facts.user,
    ...(Object.fromEntries(services) as Record<string, string>),
  };
}
