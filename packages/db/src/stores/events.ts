import type { DeploymentId, InstanceId } from "@hardshare/protocol";
import type { Transaction } from "./database.ts";

/** Something that happened: the timeline of instances and the audit log of deployments are these rows. */
export interface NewEvent {
  at: Date;
  deploymentId: DeploymentId | null;
  instanceId: InstanceId | null;
  /** `state`, `step`, `log`, `notice`, `alert`, `lockout`, … */
  kind: string;
  /** Who: a user's name, `server`, `host:<id>`, `hub:<id>`. */
  actor: string;
  data: Record<string, unknown>;
}

export interface StoredEvent extends NewEvent {
  /** Grows in the order of commits among the events of one instance, so that a reader can go on after the last one it saw. */
  id: number;
}

export interface EventStore {
  append(tx: Transaction, event: NewEvent): Promise<StoredEvent>;
  /** Events of one instance in their order, after the one with id `afterId` (0: from the beginning), at most `limit`. */
  listOfInstance(tx: Transaction, query: { instanceId: InstanceId; afterId: number; limit: number }): Promise<StoredEvent[]>;
  /** The newest events of a deployment (those of its instances too), the newest first, at most `limit`, of the given kinds only. */
  listNewestOfDeployment(
    tx: Transaction,
    query: { deploymentId: DeploymentId; kinds: readonly string[]; limit: number },
  ): Promise<StoredEvent[]>;
}
