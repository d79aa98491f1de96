/** What a relay is told on its command line, as JSON. Names of sockets are relative to `folder`. */
export interface RelaySettings {
  folder: string;
  /** Socket on which the relay listens, outside, and the port inside to which it carries connections. */
  inward: { socket: string; port: number };
  /** Ports of the container's loopback on which it listens, and the sockets outside to which it carries connections. */
  outward: { port: number; socket: string }[];
  /**
   * The same for datagrams: each is carried to the socket on a connection of its own, after its length in two bytes, and so
   * is the answer on the way back.
   */
  datagrams: { port: number; socket: string }[];
  /** Numeric user and group to drop to. */
  uid: number;
}

/** What a relay prints when it carries. */
export const RELAY_READY = "ready";
/** Descriptor of the container's network namespace, by which `nsenter` goes in. */
export const NAMESPACE_DESCRIPTOR = 3;
