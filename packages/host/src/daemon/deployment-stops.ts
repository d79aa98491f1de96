import { type DeploymentId, estopLockoutOf, type InstanceId } from "@hardshare/protocol";
import type { HostInstance } from "../instance/host-instance.ts";
import type { HostTools } from "../instance/instance-parts.ts";
import type { LockoutEntry } from "../journal/entries.ts";
import type { Journal } from "../journal/journal.ts";
import { IdleStop } from "./idle-stop.ts";
import type { Offer } from "./offer.ts";
import type { NewLockout } from "./server-link.ts";

/** An E-stop, wherever it was pressed. */
export interface Estop {
  /** The instance that is meant; null: whatever there is. */
  instance: { instanceId: InstanceId; epoch: number } | null;
  /** `host`: somebody at this computer, who counts as the owner. */
  by: "owner" | "user" | "host";
  actor: string;
  lockoutId: string;
}

interface DeploymentStopsOptions {
  deploymentId: DeploymentId;
  tools: HostTools;
  journal: Journal;
  offer: Offer;
  /** Never rejects. */
  lockOut(lockout: NewLockout): Promise<void>;
  /** Settles when no program that looks after the hardware runs any more; never rejects. */
  untilQuiet: () => Promise<void>;
  /** An E-stop without an instance is over: what waited for it may go on. */
  onOver: () => void;
}

/** The E-stops of one deployment: what each means, and which were acted on. */
export class DeploymentStops {
  readonly #options: DeploymentStopsOptions;
  readonly #idle: IdleStop;
  /** Those that this daemon acted on, by the ids of their lock-outs. */
  readonly #actedOn = new Set<string>();
  #settled = Promise.resolve();

  constructor(options: DeploymentStopsOptions) {
    const { deploymentId, tools, offer, untilQuiet } = options;
    this.#options = options;
    this.#idle = new IdleStop({
      deploymentId,
      tools,
      untilQuiet,
      readContract: () => offer.readContractOrLast(),
      onUnsafe: (why) => options.lockOut({ deploymentId, why }),
    });
  }

  /** Whether the hardware is being made safe without an instance: nothing may be launched. */
  get isRunning(): boolean {
    return this.#idle.isRunning;
  }

  /** Settles when no E-stop without an instance is under way; never rejects. */
  get settled(): Promise<void> {
    return this.#settled;
  }

  /** Makes the hardware safe at once, whatever is being done with it. @param current the instance that there is */
  press({ instance, by, actor, lockoutId }: Estop, current: HostInstance | undefined): void {
    const { deploymentId, tools } = this.#options;
    const isMeant = instance === null || (current?.facts.instanceId === instance.instanceId && current.facts.epoch === instance.epoch);
    if (by === "user" && (current === undefined || !isMeant)) return; // it is over, and what comes after it is another's
    const instanceId = current?.facts.isTrial === true ? undefined : current?.facts.instanceId;
    tools.logger.warn("E-stop", { deployment: deploymentId, instance: instanceId, by, actor });
    const isLocking = by !== "user" || current?.facts.loaded.contract.estop_by_user === "lock";
    const why = `E-stop by ${actor}`;
    const lock = isLocking ? () => this.#options.lockOut({ deploymentId, instanceId, lockoutId, why }) : undefined;
    if (isLocking) this.#actedOn.add(lockoutId);
    if (current?.estop(why, lock) !== true) this.#settled = this.#pressIdle(lockoutId, lock);
    // Written down after the lock-out and the end of the instance: whatever happens to this daemon, that end makes the hardware safe.
    else if (isLocking) void this.#record(lockoutId);
  }

  /** Id of the lock-out of a press at this computer: one that was lifted is never set again. */
  nextLockoutId(instanceId: InstanceId | null, { isLockedOut }: { isLockedOut: boolean }): string {
    const { random } = this.#options.tools;
    const first = estopLockoutOf(instanceId ?? random.uuid());
    return this.isActedOn(first) && !isLockedOut ? estopLockoutOf(random.uuid()) : first;
  }

  isActedOn(lockoutId: string): boolean {
    return this.#actedOn.has(lockoutId) || this.#options.journal.state.stops.get(this.#options.deploymentId) === lockoutId;
  }

  /** One that the daemon before had written down, and may not have acted on. */
  get unfinished(): LockoutEntry | undefined {
    const { journal, deploymentId } = this.#options;
    const stops = [...journal.state.unfinishedStops.values()].filter((lockout) => lockout.deploymentId === deploymentId);
    return stops.findLast(({ lockoutId }) => !this.isActedOn(lockoutId));
  }

  /** Acts on one of the daemon before, when no instance is left that ends for it. */
  resume({ lockoutId }: LockoutEntry): void {
    this.#settled = this.#pressIdle(lockoutId, undefined);
  }

  /** It counts as acted on when the programs have ended: else the next daemon runs them again. */
  async #pressIdle(lockoutId: string, lock: (() => Promise<void>) | undefined): Promise<void> {
    await Promise.all([lock?.(), this.#idle.press()]);
    await this.#record(lockoutId);
    this.#options.onOver();
  }

  async #record(lockoutId: string): Promise<void> {
    await this.#options.journal.record({ kind: "stopped", deploymentId: this.#options.deploymentId, lockoutId });
  }
}
