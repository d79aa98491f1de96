import { readFile, rm, rmdir } from "node:fs/promises";
import { uptime } from "node:os";
import { basename, join } from "node:path";
import { AppError, toAppError } from "@hardshare/protocol";
import {
  type Clock,
  type Failpoints,
  lockFolder,
  type Logger,
  type OwnedParts,
  type Random,
  removeEmptyFolders,
  findLauncher,
} from "@hardshare/runtime";
import type { ServerConnection } from "../channel/host-channel.ts";
import { checkPrograms } from "../contract/check-programs.ts";
import { loadContract } from "../contract/load-contract.ts";
import type { ContainerProvider, Engine } from "../engine/engine.ts";
import { openEngine } from "../engine/open-engine.ts";
import { instanceWorks } from "../instance/instance-works.ts";
import { Journal } from "../journal/journal.ts";
import { PacketRules } from "../network/packet-rules.ts";
import { inheritedEnvironment } from "../programs/program-place.ts";
import { runLifecycleProgram } from "../programs/run-program.ts";
import { type HostConfig, readHostConfig } from "../registration/host-config.ts";
import { setAside } from "../registration/set-aside.ts";
import { readIdentity } from "../registration/identity.ts";
import { SpareFilter } from "../services/spare-filter.ts";
import { InstanceTunnel } from "../tunnels/instance-tunnel.ts";
import { HostCore } from "./host-core.ts";
import { daemonSocketFolder, makeSocketFolder } from "./socket-place.ts";

/** Where a host's core runs on this computer, and with what. */
export interface Surroundings {
  /** `$HARDSHARE_HOME`: configuration, identity key, contracts. */
  home: string;
  /** `$HARDSHARE_STATE`: the journal. */
  state: string;
  /** Argument vector by which this program is run again, for its filters. */
  selfCommand: readonly string[];
  /** What programs, filters and the engine inherit. */
  environment: Readonly<Record<string, string | undefined>>;
  clock: Clock;
  random: Random;
  failpoints: Failpoints;
  logger: Logger;
  /** Opens the container engine of a provider; the real ones unless told otherwise. */
  openEngine?: ((provider: ContainerProvider, signal: AbortSignal) => Promise<Engine>) | undefined;
}

export interface OpenedCore {
  core: HostCore;
  config: HostConfig;
  /** The server, and this host as it knows it. */
  host: Omit<ServerConnection, "softwareVersion" | "openSocket">;
}

/**
 * Takes the folders of a host for this process, and makes its core on them. It does nothing yet.
 * @param parts what is to be ended with it
 * @param instead a journal in place of that of the folder, which cannot be used: then the folders need not be writable
 * @throws AppError `not_configured`, `config_invalid`, `conflict` (a process that works on a folder; `details.pid`)
 */
export async function openHostCore(options: Surroundings, parts: OwnedParts, instead?: Journal): Promise<OpenedCore> {
  const { home, state, selfCommand, clock, random, logger } = options;
  const config = await readHostConfig(home);
  const { server, server_key: serverKey, host: hostId } = config;
  if (server === undefined || serverKey === undefined || hostId === undefined) {
    throw new AppError("not_configured", "this host has no deployment yet: `hardshare register` adds one");
  }
  const { privateKey } = await readIdentity(home);
  const bootId = (await readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(() => "unknown")).trim();
  // Also the folder of the configuration: with another state folder it would take the containers of this one's instances for strangers.
  for (const folder of new Set([state, home])) {
    const locked = lockFolder({ folder, name: DAEMON_LOCK, holder: "a host daemon" });
    if (instead === undefined) parts.own(await locked);
    else await locked.then((lock) => parts.own(lock), passOverUnwritable);
  }
  const journal = parts.own(instead ?? (await Journal.open(state)));
  const socketFolder = await prepareSocketFolder(state, parts);
  const environment = { ...options.environment };
  const table = `hardshare_${basename(socketFolder)}`;
  const packetRules = parts.own(new PacketRules({ table, environment, clock, random, logger }));
  const launcher = await findLauncher();
  const place = { folder: state, env: inheritedEnvironment(environment), launcher };
  let aside: Promise<unknown> = Promise.resolve(); // one edit of the configuration at a time
  parts.own({ [Symbol.asyncDispose]: async () => void (await aside) });
  const core: HostCore = parts.own(
    new HostCore({
      home,
      config,
      journal,
      tools: {
        hostId,
        privateKey,
        selfCommand,
        spareFilter: parts.own(new SpareFilter({ selfCommand, place, clock, logger })),
        environment,
        launcher,
        stateFolder: state,
        socketFolder,
        packetRules,
        loadContract,
        checkPrograms: (loaded) => checkPrograms(loaded, environment),
        runProgram: runLifecycleProgram,
        works: instanceWorks,
        openTunnel: (tunnel) => new InstanceTunnel({ ...tunnel, privateKey, clock, random, logger }),
        time: () => ({ wallMs: clock.now(), uptimeMs: uptime() * 1000, bootId }),
        clock,
        random,
        failpoints: options.failpoints,
        logger,
      },
      openEngine:
        options.openEngine ??
        ((provider, signal) => openEngine(provider, { stateFolder: state, socketFolder, environment, clock, random, logger }, signal)),
      onDissolved: (id) => {
        aside = aside
          .then(() => setAside(home, id))
          .catch((error: unknown) => logger.error("a dissolved deployment is still configured", { deployment: id, error }));
      },
      logger,
    }),
  );
  return { core, config, host: { server, serverKey, hostId, privateKey, bootId } };
}

/** @throws AppError `conflict`: another process works on the folder */
function passOverUnwritable(error: unknown): void {
  if (toAppError(error).code === "conflict") throw error;
}

/** Lock of the folders that a daemon works on. */
export const DAEMON_LOCK = "daemon.lock";

async function prepareSocketFolder(state: string, parts: OwnedParts): Promise<string> {
  const socketFolder = daemonSocketFolder(state);
  await makeSocketFolder(socketFolder);
  parts.own({ [Symbol.asyncDispose]: () => removeEmptyFolders(join(socketFolder, "i"), socketFolder) });
  // Of a daemon that was killed; instances that are adopted make theirs anew.
  const removeSockets = () => rm(join(socketFolder, "i"), { recursive: true, force: true });
  await removeSockets();
  parts.own({
    async [Symbol.asyncDispose]() {
      await removeSockets();
      await rmdir(socketFolder).catch(() => {}); // something else may lie there
    },
  });
  return socketFolder;
}
