import type { HubId } from "@hardshare/protocol";
import type { Transaction } from "./database.ts";

/** How hosts and users reach a hub, and which public ports it may bind. */
export interface HubAddress {
  publicHost: string;
  sshPort: number;
  firstPort: number;
  lastPort: number;
}

/** A hub, known by its pinned identity key and SSH host key (both `type base64`, comments dropped). */
export interface Hub {
  id: HubId;
  name: string;
  publicKey: string;
  sshHostKey: string;
  /** As it said when it connected last; null before its first connection. */
  address: HubAddress | null;
  registeredAt: Date;
  lastConnectedAt: Date | null;
  lastSeenAt: Date | null;
  softwareVersion: string | null;
}

/** A hub that is connected, with its load. */
export interface OnlineHub {
  hub: Hub & { address: HubAddress };
  liveInstances: number;
}

export interface HubStore {
  /**
   * Pins a hub's keys. When the identity key is already pinned, the hub that has it is returned, with the SSH host key
   * that is pinned: the caller compares it.
   */
  register(tx: Transaction, hub: { id: HubId; name: string; publicKey: string; sshHostKey: string; at: Date }): Promise<Hub>;
  get(tx: Transaction, id: HubId): Promise<Hub | null>;
  /** By identity key (comment ignored). */
  getByKey(tx: Transaction, publicKey: string): Promise<Hub | null>;
  /** What `hello` said. */
  recordConnection(tx: Transaction, connection: { hubId: HubId; softwareVersion: string; address: HubAddress; at: Date }): Promise<void>;
  /** Connected hubs, least loaded first. */
  listOnline(tx: Transaction): Promise<OnlineHub[]>;
}
