import { chown, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AppError } from "@hardshare/protocol";
import { BackOff, makePrivateFolder } from "@hardshare/runtime";
import { giveLink } from "../network/give-link.ts";
import { type LinkProcess, startLink } from "../network/link-process.ts";
import { NameService } from "../network/names/name-service.ts";
import { readSurroundings } from "../network/surroundings.ts";
import { Supervised } from "../programs/supervised.ts";
import { type ContainerProcess, openContainerNetwork } from "./container-network.ts";
import { containerOf } from "./container-steps.ts";
import type { StepContext } from "./execute.ts";
import type { InstanceParts } from "./instance-parts.ts";
import { RELAY_UID } from "./relay/relay-process.ts";
import type { RelaySettings } from "./relay/relay-settings.ts";

/** Port on which programs in the container ask for names. */
const NAME_PORT = 53;
const LINK_RESTART_FIRST_MS = 100;
const LINK_RESTART_MAX_MS = 5000;

/**
 * Makes what there has to be before anything runs in the container: a folder of sockets that none but the daemon and the
 * relay's user can enter, and, unless it is isolated, packet rules and who answers its questions for names.
 */
export async function prepareNetwork(parts: InstanceParts): Promise<void> {
  await makePrivateFolder(dirname(parts.folder));
  await mkdir(parts.folder, { mode: 0o700, recursive: true });
  if (process.geteuid?.() === 0) await chown(parts.folder, RELAY_UID, RELAY_UID);
  const { network } = parts.contract;
  if (network === "isolated") return;
  const { packetRules, clock, random } = parts.tools;
  if (network === "internet") await packetRules.ensure();
  parts.names = await NameService.listen({
    streamSocket: join(parts.folder, parts.nameSockets.stream),
    datagramSocket: join(parts.folder, parts.nameSockets.datagram),
    isJudged: network === "internet",
    clock,
    random,
  });
}

/** What programs in the container reach at 127.0.0.1: services, and names unless it is isolated. */
export function relayedPorts(parts: InstanceParts): Pick<RelaySettings, "outward" | "datagrams"> {
  const services = parts.servicePlaces.map(({ port, socket }) => ({ port, socket }));
  if (parts.contract.network === "isolated") return { outward: services, datagrams: [] };
  const { stream, datagram } = parts.nameSockets;
  return { outward: [...services, { port: NAME_PORT, socket: stream }], datagrams: [{ port: NAME_PORT, socket: datagram }] };
}

/** Gives the container its way to the internet, and another one when that ends. */
export async function linkContainer(parts: InstanceParts, { signal, log }: StepContext): Promise<void> {
  const { tools, facts, contract, events } = parts;
  const { network: mode } = contract;
  if (mode === "isolated") return;
  log(`network: ${mode}\n`);
  const { clock, packetRules } = tools;
  const isJudged = mode === "internet";
  const environment = { PATH: tools.environment["PATH"] };
  let current: LinkProcess | undefined;
  const start = async (signal: AbortSignal): Promise<LinkProcess> => {
    const surroundings = await readSurroundings(environment);
    const link = await startLink({ mode, instanceId: facts.instanceId, surroundings, path: environment.PATH, clock, signal });
    try {
      // From here on it is cut when rules are lost; those that were lost before make this fail.
      current = link;
      if (isJudged) await packetRules.ensure();
      await using container = await openContainerNetwork(await containerProcess(parts, signal));
      await giveLink({ link, container, surroundings, isJudged, environment, signal });
    } catch (error) {
      await link[Symbol.asyncDispose]();
      throw error;
    }
    return link;
  };
  // Before the first start: rules may be lost at any time after they were seen.
  const listening = isJudged ? packetRules.listen({ onRestored: () => events.onRulesRestored(), onLost: () => current?.cut() }) : undefined;
  try {
    const link = await Supervised.start(
      {
        start,
        backOff: new BackOff({ firstMs: LINK_RESTART_FIRST_MS, maxMs: LINK_RESTART_MAX_MS, random: tools.random }),
        clock,
        onLost: (how) => events.onLinkLost(how),
        onRestored: () => events.onLinkRestored(),
      },
      signal,
    );
    parts.link = {
      async [Symbol.asyncDispose]() {
        listening?.[Symbol.dispose]();
        await link[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    listening?.[Symbol.dispose]();
    throw error;
  }
}

/** The first process of the container that runs. @throws AppError `program_failed` when it does not */
export async function containerProcess(parts: InstanceParts, signal: AbortSignal): Promise<ContainerProcess> {
  const engine = await parts.engine();
  const id = containerOf(parts);
  const { pid } = await engine.inspectContainer(id, { signal });
  if (pid === undefined) throw new AppError("program_failed", "the container does not run");
  return { pid, isStillRunning: async () => (await engine.inspectContainer(id, { signal })).pid === pid };
}
