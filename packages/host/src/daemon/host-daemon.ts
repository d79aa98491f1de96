/**
 * The host daemon: wires configuration, journal, engine, deployments, the link to the server and the control socket
 * together. Called by `hardshare ad`. It decides nothing itself: keepers decide, instances do.
 */
import { Deferred, OwnedParts } from "@hardshare/runtime";
import { openWebSocket } from "@hardshare/wire/node";
import { contractFile, type HostConfig, readHostConfig } from "../registration/host-config.ts";
import { ContractWatch } from "./contract-watch.ts";
import { controlActions } from "./control-actions.ts";
import { ControlServer } from "./control-server.ts";
import type { DaemonStatus } from "./daemon-status.ts";
import { openHostCore, type Surroundings } from "./open-host-core.ts";
import { controlSocket } from "./socket-place.ts";

export interface HostDaemonOptions extends Surroundings {
  /** Ids of the deployments to offer; all of the configuration unless told otherwise. */
  deployments?: readonly string[] | undefined;
  softwareVersion: string;
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
  const { home, state, clock, logger } = options;
  const ended = new Deferred();
  const parts = new OwnedParts();
  const own = <T extends AsyncDisposable>(part: T): T => parts.own(part);
  let close = (_endInstances: boolean): Promise<void> => parts[Symbol.asyncDispose]();
  try {
    const { core, config, host } = await openHostCore(options, parts);
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
    await core.restoreTrials();

    const status = (): DaemonStatus => ({
      pid: process.pid,
      server: host.server,
      host: host.hostId,
      isConnected: link.isConnected,
      connectionProblem: link.problem,
      deployments: keepers.all.map((keeper) => keeper.status()),
    });
    own(
      await ControlServer.listen(
        controlSocket(state),
        controlActions({ home, keepers, tools: core.tools, link, status, configure, onNothingLeft: () => ended.resolve(), clock }),
        clock,
      ),
    );

    const { ready } = await core.begin(options.deployments ?? config.deployments.map(({ id }) => id), {
      ...host,
      softwareVersion: options.softwareVersion,
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
