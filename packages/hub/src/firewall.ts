import type { Firewall, FirewallAction } from "@hardshare/protocol";
import ipaddr from "ipaddr.js";

type Address = ipaddr.IPv4 | ipaddr.IPv6;
interface Subnet {
  address: Address;
  prefix: number;
}

/**
 * What happens to a connection from an address. The first firewall rule that matches decides; what none matches is
 * dropped; with no list (never configured) everybody is accepted. IPv4 addresses written as IPv6 (`::ffff:1.2.3.4`)
 * are IPv4 addresses, in firewall rules too. What can't be understood lets nobody in: an address matches no firewall
 * rule, the source of a rule that accepts matches nothing, that of any other rule matches everything.
 */
export function decideFirewall(firewall: Firewall, address: string): FirewallAction {
  if (firewall === null) return "ACCEPT";
  const parsed = parseAddress(address);
  if (parsed === undefined) return "DROP";
  for (const { source, action } of firewall) {
    const subnet = parseSubnet(source);
    const isMatch = subnet === undefined ? action !== "ACCEPT" : isInside(parsed, subnet);
    if (isMatch) return action;
  }
  return "DROP";
}

function parseAddress(text: string): Address | undefined {
  try {
    return ipaddr.process(text);
  } catch {
    return undefined;
  }
}

function parseSubnet(source: string): Subnet | undefined {
  try {
    const [address, prefix] = source.includes("/") ? ipaddr.parseCIDR(source) : [ipaddr.parse(source), undefined];
    if (address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() && (prefix ?? 128) >= 96) {
      return { address: address.toIPv4Address(), prefix: (prefix ?? 128) - 96 };
    }
    return { address, prefix: prefix ?? (address.kind() === "ipv4" ? 32 : 128) };
  } catch {
    return undefined;
  }
}

function isInside(address: Address, subnet: Subnet): boolean {
  return address.kind() === subnet.address.kind() && address.match(subnet.address, subnet.prefix);
}
