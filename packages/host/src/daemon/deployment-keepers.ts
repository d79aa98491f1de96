import { AppError, type DeploymentId, type HostDeployment, type HostDesired } from "@hardshare/protocol";
import type { ContainerExit } from "../engine/engine.ts";
import { contractFile, type HostConfig } from "../registration/host-config.ts";
import { DeploymentKeeper, type DeploymentKeeperOptions } from "./deployment-keeper.ts";

export type DeploymentKeepersOptions = Omit<DeploymentKeeperOptions, "deploymentId"> & {
  /** `$HARDSHARE_HOME`. */
  home: string;
};

/** All deployments of this host: those of its configuration, and any other that its journal or the server names. */
export class DeploymentKeepers {
  readonly #options: DeploymentKeepersOptions;
  readonly #keepers = new Map<string, DeploymentKeeper>();

  constructor(options: DeploymentKeepersOptions) {
    this.#options = options;
  }

  /** Takes over the deployments of the configuration. A keeper is never replaced: it may hold an instance that runs. */
  configure(config: HostConfig): void {
    for (const deployment of config.deployments) this.get(deployment.id).offer.configure(contractFile(this.#options.home, deployment));
  }

  get all(): DeploymentKeeper[] {
    return [...this.#keepers.values()];
  }

  get configured(): DeploymentKeeper[] {
    return this.all.filter((keeper) => keeper.offer.isConfigured);
  }

  get(id: DeploymentId): DeploymentKeeper {
    return this.#keepers.get(id) ?? this.#add(id);
  }

  /**
   * The configured deployment with this id or beginning of one.
   * @throws AppError `not_found`, `bad_input` when several begin so
   */
  find(text: string): DeploymentKeeper {
    const found = this.configured.filter((keeper) => keeper.deploymentId.startsWith(text.toLowerCase()));
    if (found.length > 1) throw new AppError("bad_input", `several deployments of this host begin with ${text}: write more of the id`);
    const [keeper] = found;
    if (keeper === undefined)
      throw new AppError("not_found", `this host's configuration has no deployment ${text}; \`hardshare register\` adds one`);
    return keeper;
  }

  /** As the server is told; others than those configured are not this host's to offer. */
  describe(): HostDeployment[] {
    return this.configured.map((keeper) => keeper.describe());
  }

  apply(desired: HostDesired): void {
    for (const deployment of desired.deployments) this.get(deployment.deploymentId).apply(deployment);
    if (!desired.full) return;
    const named = new Set<string>(desired.deployments.map((deployment) => deployment.deploymentId));
    for (const keeper of this.all) if (!named.has(keeper.deploymentId)) keeper.apply(null);
  }

  /** Reads a contract anew. */
  onContractChange(file: string): void {
    for (const keeper of this.all) if (keeper.offer.contractFile === file) void keeper.offer.reload();
  }

  onContainerExit(exit: ContainerExit): void {
    for (const keeper of this.all) keeper.onContainerExit(exit);
  }

  #add(deploymentId: DeploymentId): DeploymentKeeper {
    const keeper = new DeploymentKeeper({ ...this.#options, deploymentId });
    this.#keepers.set(deploymentId, keeper);
    return keeper;
  }
}
