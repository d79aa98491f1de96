import { DeploymentId, type InstanceId } from "@hardshare/protocol";
import type { Logger } from "@hardshare/runtime";
import type { ContainerExit, Engine, ListedContainer } from "../engine/engine.ts";
import { LABELS } from "../instance/container-steps.ts";
import { isLive } from "../journal/journal-state.ts";
import type { Journal } from "../journal/journal.ts";

export interface HostContainersOptions {
  hostId: string;
  open: (signal: AbortSignal) => Promise<Engine>;
  onExit: (exit: ContainerExit) => void;
  journal: Journal;
  logger: Logger;
}

/**
 * The container engine and this host's containers in it. The engine is opened when first needed, and again when that
 * failed; containers of this host that the journal does not know as running are then removed.
 */
export class HostContainers implements AsyncDisposable {
  readonly #options: HostContainersOptions;
  readonly #stop = new AbortController();
  #engine: Promise<Engine> | undefined;

  constructor(options: HostContainersOptions) {
    this.#options = options;
  }

  /** @throws AppError `engine_missing`, `engine_failed` */
  engine(): Promise<Engine> {
    if (this.#engine !== undefined) return this.#engine;
    const opening = this.#open();
    this.#engine = opening;
    opening.catch(() => {
      this.#engine = undefined;
    });
    return opening;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    const engine = await this.#engine?.catch(() => undefined);
    await engine?.[Symbol.asyncDispose]();
  }

  async #open(): Promise<Engine> {
    const { hostId, open, onExit } = this.#options;
    const signal = this.#stop.signal;
    const engine = await open(signal);
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
