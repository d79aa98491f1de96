import { mkdir } from "node:fs/promises";
import { AppError } from "@hardshare/protocol";
import { BackOff } from "@hardshare/runtime";
import { readHostKey } from "@hardshare/wire/ssh";
import { Supervised } from "../programs/supervised.ts";
import { adoptContainer, containerOf, createContainer, describeDeadContainer, putKeys, startContainer } from "./container-steps.ts";
import { containerProcess, linkContainer, prepareNetwork, relayedPorts } from "./network-steps.ts";
import { startKeeper } from "./device-file/keeper-process.ts";
import type { StepAction } from "./execute.ts";
import { runHostPrograms } from "./host-programs.ts";
import { runInside } from "./init-inside.ts";
import type { InstanceParts } from "./instance-parts.ts";
import type { LaunchStep } from "./plan.ts";
import { type RelayProcess, startRelay } from "./relay/relay-process.ts";
import { startServices } from "./start-services.ts";

/** How long the container's SSH server may take to answer. */
const BANNER_WITHIN_MS = 20_000;
const RELAY_RESTART_FIRST_MS = 100;
const RELAY_RESTART_MAX_MS = 5000;

/** What each launch step does. */
export function launchActions(parts: InstanceParts, makeSafe: StepAction): Record<LaunchStep, StepAction> {
  return {
    safe_state: async (context) => {
      await parts.inTurn(() => makeSafe(context));
      parts.isMadeSafe = true;
    },
    adopt: ({ signal }) => adoptContainer(parts, signal),
    network: () => prepareNetwork(parts),
    filters: (context) => startServices(parts, context),
    device_files: ({ signal }) => makeDeviceFiles(parts, signal),
    container: ({ signal }) => createContainer(parts, signal),
    authorized_keys: ({ signal }) => putKeys(parts, signal),
    start: ({ signal }) => startContainer(parts, signal),
    relay: ({ signal }) => orContainerEnd(parts, signal, (signal) => enterNetwork(parts, signal)),
    link: (context) => orContainerEnd(parts, context.signal, (signal) => linkContainer(parts, { ...context, signal })),
    banner: ({ signal }) => orContainerEnd(parts, signal, (signal) => learnHostKey(parts, signal)),
    init: (context) => orContainerEnd(parts, context.signal, (signal) => runHostPrograms(parts, "init", { ...context, signal })),
    init_inside: (context) => orContainerEnd(parts, context.signal, (signal) => runInside(parts, { ...context, signal })),
    tunnel: ({ signal }) => {
      parts.tunnel.open();
      return orContainerEnd(parts, signal, (signal) => parts.tunnel.waitUntilBound(signal));
    },
  };
}

/** Starts what keeps the device files; the container mounts their terminals. */
async function makeDeviceFiles(parts: InstanceParts, signal: AbortSignal): Promise<void> {
  const { facts, tools } = parts;
  await mkdir(parts.keeperFolder, { mode: 0o700, recursive: true });
  for (const { inside, socket } of parts.deviceFilePlaces) {
    const host = await startKeeper({ instanceId: facts.instanceId, socket, path: tools.environment["PATH"], signal });
    parts.deviceFiles.push({ host, inside });
  }
}

async function enterNetwork(parts: InstanceParts, signal: AbortSignal): Promise<void> {
  const { tools, folder } = parts;
  const start = async (signal: AbortSignal): Promise<RelayProcess> => {
    return startRelay({
      instanceId: parts.facts.instanceId,
      ...(await containerProcess(parts, signal)),
      folder,
      ...relayedPorts(parts),
      clock: tools.clock,
      signal,
    });
  };
  parts.relay = await Supervised.start(
    {
      start,
      backOff: new BackOff({ firstMs: RELAY_RESTART_FIRST_MS, maxMs: RELAY_RESTART_MAX_MS, random: tools.random }),
      clock: tools.clock,
      onLost: (how) => parts.events.onRelayLost(how),
      onRestored: () => parts.events.onRelayRestored(),
    },
    signal,
  );
}

async function learnHostKey(parts: InstanceParts, signal: AbortSignal): Promise<void> {
  const relay = parts.relay?.current;
  if (relay === undefined) throw new AppError("program_failed", "the relay does not run");
  const late = new AbortController();
  using _timer = parts.tools.clock.after(BANNER_WITHIN_MS, () => late.abort());
  const either = AbortSignal.any([signal, late.signal]);
  try {
    parts.hostKeys = [await readHostKey(await relay.dial(either), either)];
  } catch (error) {
    if (!late.signal.aborted) throw error;
    throw new AppError("timed_out", `no SSH server answered in the container within ${BANNER_WITHIN_MS / 1000} s`, { cause: error });
  }
}

/** Runs a step that needs the container to live; when it ended, that is the failure, with its last words. */
async function orContainerEnd(parts: InstanceParts, signal: AbortSignal, run: (signal: AbortSignal) => Promise<void>): Promise<void> {
  if (parts.isProxy) return run(signal);
  try {
    await run(AbortSignal.any([signal, parts.containerLife.signal]));
  } catch (error) {
    if (signal.aborted) throw error;
    const dead = await describeDeadContainer(await parts.engine(), containerOf(parts));
    if (dead === undefined) throw error;
    throw new AppError("engine_failed", dead.message, { details: { log: dead.log }, cause: error });
  }
}
