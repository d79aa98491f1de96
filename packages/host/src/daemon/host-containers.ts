import { DeploymentId, type InstanceId } from "@hardshare/protocol";
import type { Logger } from "@hardshare/runtime";
import type { ContainerExit, ContainerProvider, Engine, ListedContainer } from "../engine/engine.ts";
import { LABELS } from "../instance/container-steps.ts";
import { isLive } from "../journal/journal-state.ts";
import type { Journal } from "../journal/journal.ts";

export interface HostContainersOptions {
  hostId: string;
  open: (provider: ContainerProvider, signal: AbortSignal) => Promise<Engine>;
  onExit: (exit: ContainerExit) => void;
  journal: Journal;
  logger: Logger;
}

/**
 * The container engines and this host's containers in them. An engine is opened when first needed, and again when that
 * failed; containers of this host that the journal does not know as running are then removed.
 */
export class HostContainers implements AsyncDisposable {
  readonly #options: HostContainersOptions;
  readonly #stop = new AbortController();
  readonly #engines = new Map<ContainerProvider, Promise<Engine>>();

  constructor(options: HostContainersOptions) {
    this.#options = options;
  }

  /** @throws AppError `engine_missing`, `engine_failed` */
  engine(provider: ContainerProvider): Promise<Engine> {
    const known = this.#engines.get(provider);
    if (known !== undefined) return known;
    const opening = this.#open(provider);
    this.#engines.set(provider, opening);
    opening.catch(() => this.#engines.delete(provider));
    return opening;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    const opened = await Promise.allSettled(this.#engines.values());
    await Promise.all(opened.map(async (each) => each.status === "fulfilled" && each.value[Symbol.asyncDispose]()));
  }

  async #open(provider: ContainerProvider): Promise<Engine> {
    const { hostId, open, onExit } = this.#options;
    const signal = this.#stop.signal;
    const engine = await open(provider, signal);
    try {
      const labels = { [LABELS.host]: hostId };
      await engine.watchExits(labels, onExit, signal);
      for (const container of await engine.listContainers(labels, { signal })) await this.#removeStranger(container, engine);
    } catch (error) {
      await engine[Symbol.asyncDispose]();
      throw error;
    }
    return engine;
  }

  async #removeStranger(container: ListedContainer, engine: Engine): Promise<void> {
    const { journal, logger } = this.#options;
    const { state } = journal;
    const instance = state.instances.get(container.labels[LABELS.instance] as InstanceId);
    if (instance !== undefined && isLive(instance)) return;
    logger.warn("removing a container that the journal does not know as running", { container: container.name });
    // Whoever lost the journal must not run its epochs again.
    const deploymentId = DeploymentId.safeParse(container.labels[LABELS.deployment]).data;
    const epoch = Number(container.labels[LABELS.epoch]);
    if (deploymentId !== undefined && Number.isSafeInteger(epoch) && epoch > (state.highestEpochs.get(deploymentId) ?? 0)) {
      await journal.record({ kind: "highest_epoch", deploymentId, epoch });
    }
    await engine.removeContainer(container.id);
  }
}
