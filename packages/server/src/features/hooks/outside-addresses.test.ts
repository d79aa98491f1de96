import { expect, test } from "vitest";
import { OutsideAddresses } from "./outside-addresses.ts";

const outside = new OutsideAddresses([]);

test.each([
  "127.0.0.1",
  "0.0.0.0",
  "10.1.2.3",
  "172.16.0.1",
  "192.168.1.1",
  "100.64.0.1",
  "169.254.169.254",
  "192.0.0.1",
  "192.0.2.1",
  "198.18.0.1",
  "203.0.113.1",
  "224.0.0.1",
  "240.0.0.1",
  "255.255.255.255",
  "::",
  "::1",
  "::ffff:10.0.0.1",
  "::ffff:7f00:1",
  "::7f00:1",
  "64:ff9b::a00:1",
  "64:ff9b:1::a00:1",
  "100::1",
  "2001:db8::1",
  "2001::1",
  "2002:a00:1::1",
  "fc00::1",
  "fd12::1",
  "fe80::1",
  "fe80::1%eth0",
  "fec0::1",
  "ff02::1",
  "example.org",
  "",
])("no webhook may lie at %s", (address) => {
  expect(outside.isAllowed(address)).toBe(false);
});

test.each(["1.1.1.1", "93.184.216.34", "2606:2800:220:1::1", "::ffff:1.1.1.1"])("a webhook may lie at %s", (address) => {
  expect(outside.isAllowed(address)).toBe(true);
});

test("the operator's subnets are allowed, also for addresses that are written as IPv6, and no others", () => {
  const own = new OutsideAddresses(["10.1.0.0/16", "fd00::/8", "127.0.0.1"]);
  expect(["10.1.2.3", "::ffff:10.1.2.3", "fd12::1", "127.0.0.1"].map((each) => own.isAllowed(each))).toEqual([true, true, true, true]);
  expect(["10.2.0.1", "fc00::1", "127.0.0.2"].map((each) => own.isAllowed(each))).toEqual([false, false, false]);
});

test("a subnet that is none is refused at the start", () => {
  expect(() => new OutsideAddresses(["lab"])).toThrow("--hooks-may-reach: expected a subnet such as 10.1.0.0/16, not lab");
});

test("an address of this computer is inside, also a public one, unless the operator allows it", () => {
  const own = () => ["1.1.1.1", "2606:4700:0:0::1"];
  for (const address of own()) {
    expect(new OutsideAddresses([], own).isAllowed(address), address).toBe(false);
    expect(new OutsideAddresses([address], own).isAllowed(address), address).toBe(true);
  }
  expect(new OutsideAddresses([], own).isAllowed("::ffff:1.1.1.1")).toBe(false);
  expect(new OutsideAddresses([], own).isAllowed("1.1.1.2")).toBe(true);
});
