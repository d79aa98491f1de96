import { networkInterfaces } from "node:os";
import { AppError } from "@hardshare/protocol";
import ipaddr from "ipaddr.js";

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** All IPv6 addresses that are given out for use on the internet (RFC 4291 §2.4, IANA). */
const GLOBAL_IPV6 = ipaddr.IPv6.parse("2000::");
const GLOBAL_IPV6_PREFIX = 3;

/**
 * Which addresses a webhook may lie at: those of the internet but for this computer's own, and the subnets that the operator allows. The server stands
 * in somebody's network, and whoever owns a deployment chooses where it knocks.
 */
export class OutsideAddresses {
  readonly #allowed: readonly [Address, number][];
  readonly #ownAddresses: () => readonly string[];

  /**
   * @param allowed subnets in CIDR notation, or addresses
   * @param ownAddresses those of this computer: also a public one leads behind the firewall before it
   * @throws AppError `bad_input`
   */
  constructor(allowed: readonly string[], ownAddresses: () => readonly string[] = addressesOfInterfaces) {
    this.#allowed = allowed.map(parseSubnet);
    this.#ownAddresses = ownAddresses;
  }

  /** Also of IPv4 addresses that are written as IPv6. What cannot be read is not allowed. */
  isAllowed(text: string): boolean {
    if (!ipaddr.isValid(text) || text.includes("%")) return false;
    const address = ipaddr.process(text);
    if (this.#allowed.some(([subnet, prefix]) => subnet.kind() === address.kind() && address.match(subnet, prefix))) return true;
    if (address.range() !== "unicast") return false;
    const own = this.#ownAddresses().filter((each) => ipaddr.isValid(each));
    if (own.some((each) => ipaddr.process(each).toNormalizedString() === address.toNormalizedString())) return false;
    return address.kind() === "ipv4" || address.match(GLOBAL_IPV6, GLOBAL_IPV6_PREFIX);
  }
}

function addressesOfInterfaces(): string[] {
  return Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address));
}

function parseSubnet(text: string): [Address, number] {
  try {
    if (text.includes("/")) return ipaddr.parseCIDR(text);
    const address = ipaddr.process(text);
    return [address, address.kind() === "ipv4" ? 32 : 128];
  } catch (cause) {
    throw new AppError("bad_input", `--hooks-may-reach: expected a subnet such as 10.1.0.0/16, not ${text}`, {
      details: { field: "hooks-may-reach" },
      cause,
    });
  }
}
