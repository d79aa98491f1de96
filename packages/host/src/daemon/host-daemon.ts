/**
 * The host daemon: wires configuration, journal, engine, deployments, the link to the server and the control socket
 * together. Called by `hardshare ad`. It decides nothing itself: keepers decide, instances do.
 */
import { readFile, rm, rmdir } from "node:fs/promises";
import { uptime } from "node:os";
import { join } from "node:path";
import { AppError } from "@hardshare/protocol";
import {
  type Clock,
  Deferred,
  type Failpoints,
  lockFolder,
  type Logger,
  OwnedParts,
  type Random,
  removeEmptyFolders,
} from "@hardshare/runtime";
import { openWebSocket } from "@hardshare/wire/node";
import { loadContract } from "../contract/load-contract.ts";
import type { ContainerProvider, Engine } from "../engine/engine.ts";
import { openEngine } from "../engine/open-engine.ts";
import { instanceWorks } from "../instance/instance-works.ts";
import { Journal } from "../journal/journal.ts";
import { findLauncher, inheritedEnvironment } from "../programs/program-place.ts";
import { contractFile, type HostConfig, readHostConfig } from "../registration/host-config.ts";
import { readIdentity } from "../registration/identity.ts";
import { SpareFilter } from "../services/spare-filter.ts";
import { InstanceTunnel } from "../tunnels/instance-tunnel.ts";
import { ContractWatch } from "./contract-watch.ts";
import { controlActions } from "./control-actions.ts";
import { ControlServer } from "./control-server.ts";
import type { DaemonStatus } from "./daemon-status.ts";
import { HostCore } from "./host-core.ts";
import { controlSocket, daemonSocketFolder, makeSocketFolder } from "./socket-place.ts";

export interface HostDaemonOptions {
  /** `$HARDSHARE_HOME`: configuration, identity key, contracts. */
  home: string;
  /** `$HARDSHARE_STATE`: the journal. */
  state: string;
  /** Ids of the deployments to offer; all of the configuration unless told otherwise. */
  deployments?: readonly string[] | undefined;
  /** Argument vector by which this program is run again, for its filters. */
  selfCommand: readonly string[];
  /** What programs, filters and the engine inherit. */
  environment: Readonly<Record<string, string | undefined>>;
  softwareVersion: string;
  clock: Clock;
  random: Random;
  failpoints: Failpoints;
  logger: Logger;
  /** Opens the container engine of a provider; the real ones unless told otherwise. */
  openEngine?: ((provider: ContainerProvider, signal: AbortSignal) => Promise<Engine>) | undefined;
}

export interface HostDaemon extends AsyncDisposable {
  /** Settles once the daemon is connected, knows what should be, and the server has recorded what it offers. */
  readonly ready: Promise<void>;
  /** Settles when there is nothing more to offer and nothing runs: the last deployment was stopped. */
  readonly ended: Promise<void>;
  status(): DaemonStatus;
  /**
   * Ends the daemon. With `endInstances` every instance ends (`host_stopped`) and is cleaned up; else containers go on
   * and are adopted by the next daemon, and what cannot be adopted ends. Disposing is `stop({ endInstances: true })`.
   */
  stop(options: { endInstances: boolean }): Promise<void>;
}

/**
 * Starts the daemon.
 * @throws AppError `not_configured`, `config_invalid`, `conflict` (another daemon works on the state folder, or for
 *   the same host; names its process), `not_found` (a deployment that is not in the configuration)
 */
export async function startHostDaemon(options: HostDaemonOptions): Promise<HostDaemon> {
  const { home, state, clock, random, logger } = options;
  const config = await readHostConfig(home);
  const { server, server_key: serverKey, host: hostId } = config;
  if (server === undefined || serverKey === undefined || hostId === undefined) {
    throw new AppError("not_configured", "this host has no deployment yet: `hardshare register` adds one");
  }
  const { privateKey } = await readIdentity(home);
  const bootId = (await readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(() => "unknown")).trim();
  const socketFolder = daemonSocketFolder(state);
  const ended = new Deferred();
  const parts = new OwnedParts();
  const own = <T extends AsyncDisposable>(part: T): T => parts.own(part);
  let close = (_endInstances: boolean): Promise<void> => parts[Symbol.asyncDispose]();
  try {
    own(await lockFolder({ folder: state, name: "daemon.lock", holder: "a host daemon" }));
    // With another state folder it would take the containers of this one's instances for strangers.
    if (home !== state) own(await lockFolder({ folder: home, name: "daemon.lock", holder: "a host daemon" }));
    const journal = own(await Journal.open(state));
    await makeSocketFolder(socketFolder);
    own({ [Symbol.asyncDispose]: () => removeEmptyFolders(join(socketFolder, "i"), socketFolder) });
    // Of a daemon that was killed; instances that are adopted make theirs anew.
    const removeSockets = () => rm(join(socketFolder, "i"), { recursive: true, force: true });
    await removeSockets();
    own({
      async [Symbol.asyncDispose]() {
        await removeSockets();
        await rmdir(socketFolder).catch(() => {}); // something else may lie there
      },
    });

    const environment = { ...options.environment };
    const launcher = await findLauncher();
    const { selfCommand } = options;
    const place = { folder: state, env: inheritedEnvironment(environment), launcher };
    const core: HostCore = own(
      new HostCore({
        home,
        config,
        journal,
        tools: {
          hostId,
          privateKey,
          selfCommand,
          spareFilter: own(new SpareFilter({ selfCommand, place, clock, logger })),
          environment,
          launcher,
          stateFolder: state,
          socketFolder,
          loadContract,
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
        logger,
      }),
    );
    const { keepers, link } = core;
    close = async (endInstances) => {
      try {
        await core.part(endInstances);
      } finally {
        await parts[Symbol.asyncDispose]().finally(() => ended.resolve());
      }
    };
    const watch = own(new ContractWatch({ clock, logger, onChange: (file) => keepers.onContractChange(file) }));
    const watchContracts = (config: HostConfig) => watch.watch(config.deployments.map((deployment) => contractFile(home, deployment)));
    const configure = (config: HostConfig) => {
      keepers.configure(config);
      watchContracts(config);
    };
    watchContracts(config);
    core.restore();

    const status = (): DaemonStatus => ({
      pid: process.pid,
      server,
      host: hostId,
      isConnected: link.isConnected,
      connectionProblem: link.problem,
      deployments: keepers.all.map((keeper) => keeper.status()),
    });
    own(
      await ControlServer.listen(
        controlSocket(state),
        controlActions({ home, keepers, link, status, configure, onNothingLeft: () => ended.resolve(), clock }),
        clock,
      ),
    );

    const { softwareVersion } = options;
    const { ready } = await core.begin(options.deployments ?? config.deployments.map(({ id }) => id), {
      server,
      serverKey,
      hostId,
      privateKey,
      bootId,
      softwareVersion,
      openSocket: openWebSocket,
    });
    let closing: Promise<void> | undefined;
    const stop = ({ endInstances }: { endInstances: boolean }) => (closing ??= close(endInstances));
    return {
      ready,
      ended: ended.promise,
      status,
      stop,
      [Symbol.asyncDispose]: () => stop({ endInstances: true }),
    };
  } catch (error) {
    await close(false).catch((second: unknown) => logger.error("a start that failed could not be undone", { error: second }));
    throw error;
  }
}

/** Ids of the deployments in the configuration. @throws AppError `not_configured`, `config_invalid` */
export async function configuredDeployments(options: { home: string }): Promise<string[]> {
  return (await readHostConfig(options.home)).deployments.map((deployment) => deployment.id);
}
