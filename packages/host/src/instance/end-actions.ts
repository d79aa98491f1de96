import { access, rm } from "node:fs/promises";
import { AppError } from "@hardshare/protocol";
import { within } from "@hardshare/runtime";
import { killLabelledProcesses } from "../programs/labelled-processes.ts";
import { LINK_EVENT } from "../network/link-process.ts";
import { removeContainers, verifyNoContainer } from "./container-steps.ts";
import { KEEPER_EVENT } from "./device-file/keeper-process.ts";
import type { StepAction } from "./execute.ts";
import { runHostPrograms } from "./host-programs.ts";
import type { InstanceParts } from "./instance-parts.ts";
import type { EndStep } from "./plan.ts";
import { RELAY_EVENT } from "./relay/relay-process.ts";

/** How long what was tapped may take to be written. */
const TAPPED_WITHIN_MS = 2000;

/** What each end step does; all may run whether or not what they undo was done. */
export function endActions(parts: InstanceParts, makeSafe: StepAction): Record<EndStep, StepAction> {
  return {
    filters: () => closeFilters(parts),
    safe_state: (context) => parts.inTurn(() => makeSafe(context)),
    tunnel: async () => parts.tunnel[Symbol.asyncDispose](),
    terminate: (context) => untilUnstopped(parts, (signal) => runHostPrograms(parts, "terminate", { ...context, signal })),
    container: () => removeContainers(parts),
    relay: async () => {
      await parts.relay?.[Symbol.asyncDispose]();
      parts.relay = undefined;
    },
    link: async () => {
      const { link, names } = parts;
      parts.link = undefined;
      parts.names = undefined;
      await link?.[Symbol.asyncDispose]();
      await names?.[Symbol.asyncDispose]();
    },
    network: async () => {
      for (const folder of [parts.folder, parts.keeperFolder]) await rm(folder, { recursive: true, force: true });
    },
    baseline: (context) => untilUnstopped(parts, (signal) => runHostPrograms(parts, "baseline", { ...context, signal })),
    verify: () => verify(parts),
  };
}

/** Runs programs for the end while nobody makes the hardware safe; after an E-stop, which ends them, they begin again. */
export async function untilUnstopped(parts: InstanceParts, run: (signal: AbortSignal) => Promise<void>): Promise<void> {
  for (;;) {
    await parts.untilSafe();
    const { signal } = parts.stopped;
    try {
      return await run(signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}

/** Nothing more reaches the hardware: connections first, then the programs, then what those left behind. */
export async function closeFilters(parts: InstanceParts): Promise<void> {
  const { services, pumps } = parts;
  parts.services = [];
  parts.pumps = [];
  const results = await Promise.allSettled([...services, ...pumps].map((part) => part[Symbol.asyncDispose]()));
  for (const service of services) parts.events.onServiceClosed(service.traffic);
  parts.tapsClosed = Promise.allSettled([parts.tapsClosed, ...services.map((service) => service.tapClosed)]);
  // Relays and links are ended in their turn, and keepers, to which nothing is connected any more, with the container.
  await killLabelledProcesses(parts.facts.instanceId, parts.tools.clock, ["safe_state", RELAY_EVENT, LINK_EVENT, KEEPER_EVENT]);
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

/** A disk that hangs keeps nobody waiting: taps are for people who look back. */
async function untilTapped({ tapsClosed, tools: { clock } }: InstanceParts): Promise<void> {
  await within(clock, TAPPED_WITHIN_MS, tapsClosed);
}

/** Kills what the programs for the end left behind, and looks whether anything of the instance stays. */
async function verify(parts: InstanceParts): Promise<void> {
  // In turn: programs that make the hardware safe are never interrupted, also those of an E-stop that comes only now.
  await parts.inTurn(() => killLabelledProcesses(parts.facts.instanceId, parts.tools.clock));
  await rm(parts.stateFolder, { recursive: true, force: true });
  await untilTapped(parts);
  if (parts.isProxy) return;
  await verifyNoContainer(parts);
  const hasFolder = await access(parts.folder).then(
    () => true,
    () => false,
  );
  if (hasFolder) throw new AppError("internal", `the folder ${parts.folder} is still there`);
}
