import type { DeploymentId } from "@hardshare/protocol";
import { type Logger, OwnedParts } from "@hardshare/runtime";
import type { ServerConnection } from "../channel/host-channel.ts";
import type { ContainerProvider, Engine } from "../engine/engine.ts";
import type { HostTools } from "../instance/instance-parts.ts";
import type { Journal } from "../journal/journal.ts";
import type { HostConfig } from "../registration/host-config.ts";
import { DeploymentKeepers } from "./deployment-keepers.ts";
import { HostContainers } from "./host-containers.ts";
import { ServerLink } from "./server-link.ts";

export interface HostCoreOptions {
  /** `$HARDSHARE_HOME`. */
  home: string;
  config: HostConfig;
  journal: Journal;
  tools: Omit<HostTools, "engine">;
  openEngine: (provider: ContainerProvider, signal: AbortSignal) => Promise<Engine>;
  /** The server says that a deployment was dissolved. */
  onDissolved: (deploymentId: DeploymentId) => void;
  logger: Logger;
}

/** The daemon without its surroundings (folders, locks, what people ask of it): deployments, containers, and the link to the server. */
export class HostCore implements AsyncDisposable {
  readonly keepers: DeploymentKeepers;
  readonly link: ServerLink;
  /** What all instances of this host share. */
  readonly tools: HostTools;
  readonly #parts = new OwnedParts();

  constructor(options: HostCoreOptions) {
    const { home, config, journal, tools, openEngine, logger } = options;
    const { clock, random } = tools;
    const containers = this.#parts.own(
      new HostContainers({
        hostId: tools.hostId,
        open: openEngine,
        onExit: (exit) => this.keepers.onContainerExit(exit),
        journal,
        logger,
      }),
    );
    this.link = this.#parts.own(new ServerLink({ journal, clock, random, logger }));
    this.tools = { ...tools, engine: (provider) => containers.engine(provider) };
    this.keepers = new DeploymentKeepers({
      home,
      tools: this.tools,
      journal,
      outbox: this.link.outbox,
      lockOut: (lockout) => this.link.lockOut(lockout),
      onChange: () => this.link.announce(),
      onDissolved: options.onDissolved,
    });
    this.keepers.configure(config);
    for (const { deploymentId } of journal.state.instances.values()) this.keepers.get(deploymentId); // also what is configured no more
  }

  /** Goes on with what the daemon before was doing. */
  restore(): void {
    for (const keeper of this.keepers.all) keeper.restore();
  }

  /** Undoes what trials left that were killed; settles when that has begun. */
  async restoreTrials(): Promise<void> {
    await Promise.all(this.keepers.configured.map((keeper) => keeper.trials.restore()));
  }

  /**
   * Connects to the server, and offers these deployments as soon as they can be kept.
   * @param offered ids, or beginnings of them
   * @returns settles when all that is settled, and the server has recorded it
   * @throws AppError `not_found`, `bad_input` as `DeploymentKeepers.find`
   */
  async begin(offered: readonly string[], connection: ServerConnection): Promise<{ ready: Promise<void> }> {
    const chosen = offered.map((id) => this.keepers.find(id));
    await Promise.all(this.keepers.configured.map((keeper) => keeper.offer.reload()));
    const offering = Promise.all(chosen.map((keeper) => keeper.offer.open()));
    this.link.connect(this.keepers, connection);
    return { ready: Promise.all([this.link.desiredKnown, offering.then(() => this.link.untilAnnounced())]).then(() => {}) };
  }

  /** Ends every instance, or leaves to the next daemon what that can adopt; then waits, not for long, until the server knows. */
  async part(endInstances: boolean): Promise<void> {
    await Promise.all(this.keepers.all.map((keeper) => keeper.close(endInstances)));
    await this.link.settle();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts[Symbol.asyncDispose]();
  }
}
