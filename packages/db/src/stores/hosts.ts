import type { HostId } from "@hardshare/protocol";
import type { Transaction } from "./database.ts";

/** A host computer, known by its pinned identity key. */
export interface Host {
  id: HostId;
  owner: string;
  name: string;
  /** `type base64` of an OpenSSH public key; comments are dropped. */
  publicKey: string;
  registeredAt: Date;
  lastConnectedAt: Date | null;
  /** When its channel opened or closed last. */
  lastSeenAt: Date | null;
  softwareVersion: string | null;
  bootId: string | null;
}

export interface HostStore {
  /**
   * Pins a host's identity key. When the key is already pinned, the host that has it is returned unchanged: the
   * caller compares `owner`.
   */
  register(tx: Transaction, host: { id: HostId; owner: string; name: string; publicKey: string; at: Date }): Promise<Host>;
  get(tx: Transaction, id: HostId): Promise<Host | null>;
  /** By identity key (comment ignored). */
  getByKey(tx: Transaction, publicKey: string): Promise<Host | null>;
  /** What `hello` said. */
  recordConnection(tx: Transaction, connection: { hostId: HostId; softwareVersion: string; bootId: string; at: Date }): Promise<void>;
}
