import type { ChildProcess } from "node:child_process";
import { chown, mkdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { AppError, type Service } from "@hardshare/protocol";
import { BackOff, makePrivateFolder } from "@hardshare/runtime";
import { readHostKey } from "@hardshare/wire/ssh";
import { resolveCommand } from "../programs/command-line.ts";
import { startProgram } from "../programs/run-program.ts";
import { Supervised } from "../programs/supervised.ts";
import { InstanceService } from "../services/instance-service.ts";
import { ServicePump } from "../services/service-pump.ts";
import { adoptContainer, containerOf, createContainer, describeDeadContainer, putKeys, startContainer } from "./container-steps.ts";
import type { StepAction, StepContext } from "./execute.ts";
import { runHostPrograms } from "./host-programs.ts";
import { runInside } from "./init-inside.ts";
import type { InstanceParts } from "./instance-parts.ts";
import type { LaunchStep } from "./plan.ts";
import { RELAY_UID, type RelayProcess, startRelay } from "./relay/relay-process.ts";

/** How long the container's SSH server may take to answer. */
const BANNER_WITHIN_MS = 20_000;
const RELAY_RESTART_FIRST_MS = 100;
const RELAY_RESTART_MAX_MS = 5000;

/** What each launch step does. */
export function launchActions(parts: InstanceParts): Record<LaunchStep, StepAction> {
  return {
    safe_state: async (context) => {
      await runHostPrograms(parts, "safe_state", context);
      parts.isMadeSafe = true;
    },
    adopt: ({ signal }) => adoptContainer(parts, signal),
    network: () => makeSocketFolder(parts),
    filters: (context) => startServices(parts, context),
    container: ({ signal }) => createContainer(parts, signal),
    authorized_keys: ({ signal }) => putKeys(parts, signal),
    start: ({ signal }) => startContainer(parts, signal),
    relay: ({ signal }) => orContainerEnd(parts, signal, (signal) => enterNetwork(parts, signal)),
    banner: ({ signal }) => orContainerEnd(parts, signal, (signal) => learnHostKey(parts, signal)),
    init: (context) => orContainerEnd(parts, context.signal, (signal) => runHostPrograms(parts, "init", { ...context, signal })),
    init_inside: (context) => orContainerEnd(parts, context.signal, (signal) => runInside(parts, { ...context, signal })),
    tunnel: ({ signal }) => {
      parts.tunnel.open();
      return orContainerEnd(parts, signal, (signal) => parts.tunnel.waitUntilBound(signal));
    },
  };
}

/** A folder that none but the daemon and the relay's user can enter. */
async function makeSocketFolder(parts: InstanceParts): Promise<void> {
  await makePrivateFolder(dirname(parts.folder));
  await mkdir(parts.folder, { mode: 0o700, recursive: true });
  if (process.geteuid?.() === 0) await chown(parts.folder, RELAY_UID, RELAY_UID);
}

async function startServices(parts: InstanceParts, { signal }: StepContext): Promise<void> {
  const { tools, events, contract } = parts;
  const places = parts.servicePlaces;
  // All are waited for, so that none starts after the step has failed and is being undone.
  const results = await Promise.allSettled(
    contract.services.map(async (service, index) => {
      const { name } = service;
      const running = await InstanceService.start(
        {
          name,
          launch: () => launchService(parts, service),
          clock: tools.clock,
          random: tools.random,
          onOutput: (text) => events.onServiceOutput(name, text),
          onLost: (how) => events.onServiceLost(name, how),
          onRestored: () => events.onServiceRestored(name),
        },
        signal,
      );
      parts.services.push(running);
      const socket = places[index]?.socket;
      if (!parts.isProxy && socket !== undefined) parts.pumps.push(await ServicePump.listen(join(parts.folder, socket), running));
    }),
  );
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

/** Starts the process of a service; a filter's is, if possible, the one that waits. */
async function launchService(parts: InstanceParts, service: Service): Promise<ChildProcess> {
  const { folder } = parts.facts.loaded;
  const { selfCommand, spareFilter } = parts.tools;
  const place = parts.placeFor("service");
  if ("command" in service) return startProgram(await resolveCommand(service.command, folder), place, "ignore");
  const args = filterArguments(service, folder);
  return (await spareFilter.take(args)) ?? startProgram([...selfCommand, "filter", "run", ...args], place, "ignore");
}

/** Arguments of `filter run` for a service of the contract. */
function filterArguments(service: Exclude<Service, { command: string }>, folder: string): string[] {
  const { filter, target, rules } = service;
  if (filter !== "http") throw new AppError("config_invalid", `filter ${filter} is not yet available`);
  return [filter, "--target", target, "--rules", resolve(folder, rules)];
}

async function enterNetwork(parts: InstanceParts, signal: AbortSignal): Promise<void> {
  const { tools, folder } = parts;
  const start = async (signal: AbortSignal): Promise<RelayProcess> => {
    const engine = await parts.engine();
    const id = containerOf(parts);
    const { pid } = await engine.inspectContainer(id, { signal });
    if (pid === undefined) throw new AppError("program_failed", "the container does not run");
    return startRelay({
      instanceId: parts.facts.instanceId,
      pid,
      isStillRunning: async () => (await engine.inspectContainer(id, { signal })).pid === pid,
      folder,
      outward: parts.servicePlaces.map(({ port, socket }) => ({ port, socket })),
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
