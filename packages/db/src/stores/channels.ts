import type { PeerRole } from "@hardshare/protocol";
import type { Transaction } from "./database.ts";

/** An open channel of a host or hub: who is connected, to which replica of the server. */
export interface Channel {
  role: PeerRole;
  /** Host id or hub id. */
  peerId: string;
  replicaId: string;
  /** New for each connection. */
  connectionId: string;
  /** New for each process of the peer: a cloned identity is told by it. */
  session: string;
  connectedAt: Date;
}

/**
 * Presence. A row exists as long as the replica holds the connection. `replicaId` must stay the same over restarts of
 * a replica (kept in its data folder), so that rows left by a killed process are cleared when it starts again. Those of a
 * replica that never comes back are cleared by another one, which sees in the database that it is gone.
 */
export interface ChannelStore {
  /**
   * Enters a connection. The same session may replace its own older connection (which should then be closed); another
   * session is told that the identity is in use.
   */
  open(tx: Transaction, channel: Channel): Promise<{ kind: "opened"; replaced: Channel | null } | { kind: "in_use"; by: Channel }>;
  /**
   * Removes a connection; does nothing when it was replaced meanwhile.
   * @returns whether the peer is now absent because of this call
   */
  close(tx: Transaction, channel: { role: PeerRole; peerId: string; connectionId: string; at: Date }): Promise<boolean>;
  /** Removes all connections of a replica: at its start and at its end. @returns them by role and peer */
  closeAllOfReplica(tx: Transaction, replica: { replicaId: string; at: Date }): Promise<Channel[]>;
  /** Removes all connections of replicas that are no longer connected to the database. */
  closeAllOfDeadReplicas(tx: Transaction, query: { at: Date }): Promise<Channel[]>;
  get(tx: Transaction, role: PeerRole, peerId: string): Promise<Channel | null>;
  /** The longest connected first. */
  list(tx: Transaction, role: PeerRole): Promise<Channel[]>;
}
