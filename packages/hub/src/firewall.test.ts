import type { Firewall } from "@hardshare/protocol";
import { expect, test } from "vitest";
import { decideFirewall } from "./firewall.ts";

const accept = (source: string) => ({ source, action: "ACCEPT" as const });
const drop = (source: string) => ({ source, action: "DROP" as const });
const reject = (source: string) => ({ source, action: "REJECT" as const });

test.each<[string, Firewall, string, string]>([
  ["a firewall that was never configured lets everybody in", null, "198.51.100.7", "ACCEPT"],
  ["an empty list lets nobody in", [], "198.51.100.7", "DROP"],
  ["what no rule matches is dropped", [accept("192.0.2.0/24")], "198.51.100.7", "DROP"],
  ["the first match decides", [reject("192.0.2.7/32"), accept("192.0.2.0/24")], "192.0.2.7", "REJECT"],
  ["the first match decides, also when a later rule is narrower", [accept("192.0.2.0/24"), drop("192.0.2.7/32")], "192.0.2.7", "ACCEPT"],
  ["an address alone is a rule for that address", [accept("192.0.2.7")], "192.0.2.7", "ACCEPT"],
  ["an address alone is no rule for its neighbour", [accept("192.0.2.7")], "192.0.2.8", "DROP"],
  ["a subnet need not be written with its first address", [accept("192.0.2.77/24")], "192.0.2.7", "ACCEPT"],
  ["IPv4 inside IPv6 is IPv4", [accept("192.0.2.0/24")], "::ffff:192.0.2.7", "ACCEPT"],
  ["IPv4 inside IPv6 is IPv4 in rules too", [accept("::ffff:192.0.2.0/120")], "192.0.2.7", "ACCEPT"],
  ["all of IPv4 is none of IPv6", [accept("0.0.0.0/0")], "2001:db8::7", "DROP"],
  ["all of IPv6 is none of IPv4", [accept("::/0")], "192.0.2.7", "DROP"],
  ["IPv6 subnets match", [accept("2001:db8::/32")], "2001:db8:1::7", "ACCEPT"],
  ["a wide mapped subnet is an IPv6 subnet", [accept("::/0")], "::1", "ACCEPT"],
  ["an address that can't be read is dropped", [accept("0.0.0.0/0"), accept("::/0")], "somewhere", "DROP"],
  ["an accepting rule that can't be read lets nobody in", [accept("everywhere")], "192.0.2.7", "DROP"],
  ["a refusing rule that can't be read refuses everybody", [drop("192.0.2.0/99"), accept("0.0.0.0/0")], "192.0.2.7", "DROP"],
])("%s", (_name, firewall, address, expected) => {
  expect(decideFirewall(firewall, address)).toBe(expected);
});
