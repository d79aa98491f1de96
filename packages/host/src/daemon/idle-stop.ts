import { type DeploymentId, InstanceId, toAppError } from "@hardshare/protocol";
import type { LoadedContract } from "../contract/load-contract.ts";
import { type HostTools, InstanceParts, type PartEvents } from "../instance/instance-parts.ts";

interface IdleStopOptions {
  deploymentId: DeploymentId;
  tools: HostTools;
  /** Settles when nothing else touches the hardware; never rejects. */
  untilQuiet: () => Promise<void>;
  /** The contract of the next instance. @throws AppError when it cannot be read */
  readContract: () => Promise<LoadedContract>;
  /** The programs for the safe state failed. Never rejects. */
  onUnsafe: (reason: string) => Promise<void>;
}

/** The E-stop of a deployment on which no instance runs: its programs for the safe state run all the same. */
export class IdleStop {
  readonly #options: IdleStopOptions;
  #running = Promise.resolve();
  #waiting = 0;

  constructor(options: IdleStopOptions) {
    this.#options = options;
  }

  /** Whether programs run, or wait for others: nothing may be launched. */
  get isRunning(): boolean {
    return this.#waiting > 0;
  }

  /** Settles when the programs have ended; never rejects. */
  press(): Promise<void> {
    this.#waiting += 1;
    const isQuiet = this.#options.untilQuiet();
    this.#running = this.#running.then(async () => {
      await isQuiet;
      await this.#makeSafe().catch((error: unknown) => this.#options.onUnsafe(`safe_state: ${toAppError(error).message}`));
      this.#waiting -= 1;
    });
    return this.#running;
  }

  async #makeSafe(): Promise<void> {
    const { deploymentId, tools, readContract } = this.#options;
    const loaded = await readContract();
    if (loaded.contract.safe_state.length === 0) return;
    const { logger } = tools;
    const facts = { deploymentId, instanceId: NO_INSTANCE, epoch: 0, user: "", publicKeys: [], loaded };
    const warn = (message: string) => logger.warn(message, { deployment: deploymentId });
    const parts = new InstanceParts(facts, tools, { ...NO_EVENTS, warn });
    const log = (text: string) => logger.info(text.trimEnd(), { deployment: deploymentId, step: "safe_state" });
    try {
      await tools.works(parts).makeSafe({ signal: new AbortController().signal, log });
    } finally {
      await parts.tunnel[Symbol.asyncDispose]();
    }
  }
}

/** What programs that belong to no instance get as its id. */
const NO_INSTANCE = "" as InstanceId;

const NO_EVENTS: PartEvents = {
  onServiceLost: () => {},
  onServiceRestored: () => {},
  onServiceOutput: () => {},
  onServiceReport: () => {},
  onServiceTapped: () => {},
  onServiceClosed: () => {},
  onRelayLost: () => {},
  onRelayRestored: () => {},
  onLinkLost: () => {},
  onLinkRestored: () => {},
  onRulesRestored: () => {},
  onDeviceFileLost: () => {},
  onTunnelBroken: () => {},
  warn: () => {},
};
