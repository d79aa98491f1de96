import fc from "fast-check";
import { expect, test } from "vitest";
import { isPublicAddress } from "./address-ranges.ts";

const byte = fc.nat(255);
const word = fc.nat(0xffff).map((value) => value.toString(16));
const ipv4 = fc.tuple(byte, byte, byte, byte).map((bytes) => bytes.join("."));
const ipv6After = (first: string) => fc.tuple(...Array.from({ length: 7 }, () => word)).map((words) => [first, ...words].join(":"));

test.each([
  "8.8.8.8",
  "1.1.1.1",
  "100.63.255.255",
  "100.128.0.0",
  "172.15.255.255",
  "172.32.0.0",
  "192.0.1.0",
  "198.17.255.255",
  "223.255.255.255",
  "2606:4700::8",
  "2001:4860:4860::8888",
  "2a02:8071::1",
  "3ffe:ffff::1",
  "2001:200::1",
])("%s is public", (address) => {
  expect(isPublicAddress(address)).toBe(true);
});

test.each([
  "0.0.0.0",
  "10.1.2.3",
  "100.64.0.1",
  "127.0.0.53",
  "169.254.169.254",
  "172.16.0.1",
  "172.31.255.255",
  "192.168.0.1",
  "192.0.2.1",
  "198.18.0.1",
  "198.51.100.1",
  "203.0.113.1",
  "224.0.0.251",
  "239.255.255.250",
  "240.0.0.1",
  "255.255.255.255",
  "::",
  "::1",
  "::ffff:8.8.8.8",
  "::ffff:a4d:9",
  "64:ff9b::808:808",
  "64:ff9b:1::1",
  "100::1",
  "fd00::1",
  "fe80::1",
  "fec0::1",
  "ff02::1",
  "2001::1",
  "2001:db8::1",
  "2002:a4d:9::1",
  "3fff::1",
  "4000::1",
  "1fff::1",
  "",
  "8.8.8",
  "8.8.8.8.8",
  "robot.local",
  "08.8.8.8",
  "fe80::1%eth0",
  "0x8.8.8.8",
  "134744072",
])("%j is not", (address) => {
  expect(isPublicAddress(address)).toBe(false);
});

test("no private network has a public address in it", () => {
  const inside = fc.oneof(
    fc.tuple(byte, byte, byte).map((rest) => `10.${rest.join(".")}`),
    fc.tuple(fc.integer({ min: 16, max: 31 }), byte, byte).map((rest) => `172.${rest.join(".")}`),
    fc.tuple(byte, byte).map((rest) => `192.168.${rest.join(".")}`),
    fc.tuple(fc.integer({ min: 64, max: 127 }), byte, byte).map((rest) => `100.${rest.join(".")}`),
    fc.integer({ min: 0xfc00, max: 0xffff }).chain((first) => ipv6After(first.toString(16))),
  );
  fc.assert(fc.property(inside, (address) => !isPublicAddress(address)));
});

test("an IPv4 address that is carried in an IPv6 one is never public", () => {
  fc.assert(fc.property(ipv4, (address) => !isPublicAddress(`::ffff:${address}`) && !isPublicAddress(`64:ff9b::${address}`)));
});
