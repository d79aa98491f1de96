/** What a relay is told on its command line, as JSON. Names of sockets are relative to `folder`. */
export interface RelaySettings {
  folder: string;
  /** Socket on which the relay listens, outside, and the port inside to which it carries connections. */
  inward: { socket: string; port: number };
  /** Ports of the container's loopback on which it listens, and the sockets outside to which it carries connections. */
  outward: { port: number; socket: string }[];
  /** Numeric user and group to drop to. */
  uid: number;
}

/** What a relay prints when it carries. */
export const RELAY_READY = "ready";
/** Descriptor of the container's network namespace, by which `nsenter` goes in. */
export const NAMESPACE_DESCRIPTOR = 3;
