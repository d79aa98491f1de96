import { BlockList, isIP } from "node:net";

/** Whose connections a rule is about: an address, a network, or `*`. */
export interface PeerPattern {
  /** As its owner wrote it. */
  readonly source: string;
  matches(address: string): boolean;
}

/**
 * Compiles a pattern such as `192.168.1.7`, `10.0.0.0/8` or `*`.
 * @returns the pattern, or what is wrong with it
 */
export function compilePeerPattern(source: string): PeerPattern | { readonly problem: string } {
  if (source === "*") return { source, matches: () => true };
  const [address = "", length, ...more] = source.split("/");
  const family = isIP(address);
  const bits = family === 4 ? 32 : 128;
  const prefix = length === undefined ? bits : Number(length);
  if (family === 0 || address.includes("%") || more.length > 0 || !/^\d{1,3}$/.test(length ?? "0") || prefix > bits) {
    return { problem: `expected an address such as 192.168.1.7, a network such as 10.0.0.0/8, or *, not \`${source}\`` };
  }
  const list = new BlockList();
  list.addSubnet(address, prefix, family === 4 ? "ipv4" : "ipv6");
  return {
    source,
    // An IPv4 address that is written as an IPv6 one (::ffff:10.0.0.1) is taken for what it is.
    matches: (peer) => list.check(peer, isIP(peer) === 4 ? "ipv4" : "ipv6"),
  };
}

/** The address of a peer as patterns know it: without the zone of a link-local one, and IPv4 as IPv4. */
export function plainAddress(address: string): string {
  return (address.split("%", 1)[0] ?? "").replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, "");
}
