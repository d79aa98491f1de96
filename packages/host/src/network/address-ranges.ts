import { BlockList, isIP } from "node:net";

/**
 * What no public address is in, by the registries of special addresses (RFC 6890, and what IANA added since). Used for
 * packet rules and for what the name service answers, so that both say the same.
 */
export const SPECIAL_IPV4: readonly string[] = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10", // shared by providers with their customers
  "127.0.0.0/8",
  "169.254.0.0/16", // link-local, metadata services among it
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24", // documentation, as the two below
  "192.88.99.0/24", // 6to4 relays
  "192.168.0.0/16",
  "198.18.0.0/15", // benchmarks
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4", // multicast
  "240.0.0.0/4", // reserved, broadcast among it
];

/**
 * All that IANA has given out as global unicast. What is outside is no public address: loopback, v4-mapped addresses,
 * NAT64 (64:ff9b::/96, 64:ff9b:1::/48), discard-only, unique local, link-local, multicast, and all that is reserved.
 */
export const GLOBAL_IPV6 = "2000::/3";
/** What is special inside of it. */
export const SPECIAL_IPV6: readonly string[] = [
  "2001::/23", // protocols: Teredo, benchmarks, ORCHID
  "2001:db8::/32", // documentation, as the last
  "2002::/16", // 6to4, which carries IPv4 addresses
  "3fff::/20",
];

const special = listOf(SPECIAL_IPV4.concat(SPECIAL_IPV6));
const global = listOf([GLOBAL_IPV6]);

/** Whether an address belongs to the public internet; false for what is no address. */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !special.check(address, "ipv4");
    case 6:
      return global.check(address, "ipv6") && !special.check(address, "ipv6");
    default:
      return false;
  }
}

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = "", length] = network.split("/");
    list.addSubnet(address, Number(length), isIP(address) === 6 ? "ipv6" : "ipv4");
  }
  return list;
}
