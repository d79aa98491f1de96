import type { IncomingMessage } from "node:http";
import { expect, test } from "vitest";
import { clientAddress, readTrustedProxies } from "./client-address.ts";

const isTrusted = readTrustedProxies(["10.0.0.0/8", "2001:db8::1"]);
const from = (remoteAddress: string, forwarded?: string) =>
  clientAddress({ headers: { "x-forwarded-for": forwarded }, socket: { remoteAddress } } as unknown as IncomingMessage, isTrusted);

test.each([
  ["a direct connection is itself", "198.51.100.7", undefined, "198.51.100.7"],
  ["what a stranger says of itself is not believed", "198.51.100.7", "192.0.2.1", "198.51.100.7"],
  ["a proxy is believed", "10.1.2.3", "192.0.2.1", "192.0.2.1"],
  ["a proxy is believed in IPv6 notation too", "::ffff:10.1.2.3", "::ffff:192.0.2.1", "192.0.2.1"],
  ["a proxy before a proxy is believed", "2001:db8::1", "192.0.2.1, 10.9.9.9", "192.0.2.1"],
  ["what the client wrote before the first proxy is not believed", "10.1.2.3", "127.0.0.1, 192.0.2.1", "192.0.2.1"],
  ["a proxy that says nothing is itself", "10.1.2.3", undefined, "10.1.2.3"],
  ["what is no address ends it", "10.1.2.3", "192.0.2.1, unknown", "10.1.2.3"],
])("%s", (_name, remote, forwarded, expected) => {
  expect(from(remote, forwarded)).toBe(expected);
});

test("a proxy that can't be read is refused with what was expected", () => {
  for (const bad of ["", "proxy.example.org", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8/8", "::1/129", "10.0.0.0/x"]) {
    expect(() => readTrustedProxies([bad]), bad).toThrow(/--trusted-proxy.*such as 10.0.0.0\/8/);
  }
});
