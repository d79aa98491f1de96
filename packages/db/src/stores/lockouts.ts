import type { DeploymentId, InstanceId } from "@hardshare/protocol";
import type { Transaction } from "./database.ts";

/**
 * Who or what set a lock-out: a person, by locking or by an E-stop, the host (failed undo, E-stop there, monitor), or the
 * server for want of the host's word.
 */
export type LockoutKind = "person" | "estop" | "host" | "host_not_confirmed";

export interface Lockout {
  id: string;
  deploymentId: DeploymentId;
  instanceId: InstanceId | null;
  kind: LockoutKind;
  reason: string;
  actor: string;
  at: Date;
}

/** A deployment is locked out as long as at least one of its lock-outs isn't lifted. Each change is an event, in the same transaction. */
export interface LockoutStore {
  /**
   * Sets a lock-out. Repeating one with the same id changes nothing, also after it was lifted: a host repeats its own
   * until it is acknowledged.
   * @returns false when it was recorded before
   */
  add(tx: Transaction, lockout: Lockout): Promise<boolean>;
  /**
   * Lifts all lock-outs of a deployment, or only those of one kind.
   * @returns those that were lifted, the oldest first
   */
  lift(tx: Transaction, lift: { deploymentId: DeploymentId; kind?: LockoutKind; actor: string; at: Date }): Promise<Lockout[]>;
  /** Those in force, the oldest first. */
  list(tx: Transaction, deploymentId: DeploymentId): Promise<Lockout[]>;
}
