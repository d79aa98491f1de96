import { estopLockoutOf, type InstanceId } from "@hardshare/protocol";
import { type Clock, Deferred, within, type Random } from "@hardshare/runtime";
import type { ConnectedPeers } from "../../channels/connected-peers.ts";
import { LiveDeployments, type LiveDeployment } from "./live-deployments.ts";

/** How long the host's word that it has stopped is waited for. */
const ANSWER_WITHIN_MS = 1000;
/** Stopped instances that are remembered, in case that a look at the store which began before brings them up as running. */
const MAX_STOPPED = 10_000;

/** Who presses, and what is meant. */
export interface EstopPress {
  by: "owner" | "user";
  actor: string;
  /** Whether only this instance is meant, or whatever there is. */
  meansInstance: boolean;
  target: LiveDeployment;
}

export interface DispatchedEstop {
  lockoutId: string;
  /** What the host made of it, as far as this replica knows. Settles within a second. */
  host: Promise<"stopped" | "no_answer" | "offline">;
}

/**
 * E-stops on their way to host and hub: both are told at once, from memory, neither waits for the other nor for the
 * store. Until the store says the same, what is desired is told accordingly.
 */
export class EstopDispatch {
  readonly deployments = new LiveDeployments();
  readonly #peers: ConnectedPeers;
  readonly #clock: Clock;
  readonly #random: Random;
  /** The oldest first. */
  readonly #stopped = new Set<InstanceId>();
  readonly #waiting = new Map<string, Deferred>();

  constructor(deps: { connected: ConnectedPeers; clock: Clock; random: Random }) {
    this.#peers = deps.connected;
    this.#clock = deps.clock;
    this.#random = deps.random;
  }

  /** Whether an E-stop of this instance was sent from here: it never runs again. */
  isStopped(id: InstanceId): boolean {
    return this.#stopped.has(id);
  }

  send({ by, actor, meansInstance, target }: EstopPress): DispatchedEstop {
    const { deploymentId, hostId, live } = target;
    const estopId = this.#random.uuid();
    // All presses of one instance mean one lock-out, but for those after it was lifted: no lock-out is set twice.
    const isLifted = live !== null && this.isStopped(live.instanceId) && !this.deployments.isLockedOut(deploymentId);
    const lockoutId = estopLockoutOf(live === null || isLifted ? estopId : live.instanceId);
    if (live !== null) this.#remember(live.instanceId);
    const instance = live === null || !meansInstance ? null : { instanceId: live.instanceId, epoch: live.epoch };
    const message = { type: "estop", estopId, deploymentId, instance, by, actor, lockoutId } as const;
    const answer = new Deferred();
    this.#waiting.set(estopId, answer);
    const isTold = hostId !== null && this.#peers.send("host", hostId, message);
    if (live !== null) {
      const closed = [{ instanceId: live.instanceId, epoch: live.epoch }];
      this.#peers.send("hub", live.hubId, { type: "desired", full: false, endpoints: [], closed });
    }
    if (!isTold) this.#waiting.delete(estopId);
    return { lockoutId, host: isTold ? this.#answerTo(estopId, answer) : Promise.resolve("offline") };
  }

  /** A host has acted on an E-stop. */
  onAnswer(estopId: string): void {
    this.#waiting.get(estopId)?.resolve();
  }

  async #answerTo(estopId: string, answer: Deferred): Promise<"stopped" | "no_answer"> {
    const isStopped = await within(
      this.#clock,
      ANSWER_WITHIN_MS,
      answer.promise.then(() => true),
    );
    this.#waiting.delete(estopId);
    return isStopped === true ? "stopped" : "no_answer";
  }

  #remember(id: InstanceId): void {
    this.#stopped.delete(id);
    this.#stopped.add(id);
    for (const oldest of this.#stopped) {
      if (this.#stopped.size <= MAX_STOPPED) return;
      this.#stopped.delete(oldest);
    }
  }
}
