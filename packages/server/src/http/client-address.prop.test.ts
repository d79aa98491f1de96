import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { AppError } from "@hardshare/protocol";
import fc from "fast-check";
import { expect, test } from "vitest";
import { clientAddress, readTrustedProxies } from "./client-address.ts";

const address = fc.oneof(
  fc.ipV4(),
  fc.ipV6(),
  fc.ipV4().map((plain) => `::ffff:${plain}`),
);
const forwarded = fc.array(
  fc.oneof(address, fc.constantFrom("", "unknown", "10.0.0.1:80", "_hidden", ","), fc.string({ unit: "binary", maxLength: 8 })),
  {
    maxLength: 5,
  },
);

function requestFrom(remoteAddress: string, header: string | undefined): IncomingMessage {
  return { socket: { remoteAddress }, headers: header === undefined ? {} : { "x-forwarded-for": header } } as unknown as IncomingMessage;
}

test("whatever stands in X-Forwarded-For, a stranger's own address counts", () => {
  fc.assert(
    fc.property(address, forwarded, (own, names) => {
      const isTrusted = readTrustedProxies([]);
      expect(clientAddress(requestFrom(own, names.join(", ")), isTrusted)).toBe(
        own.toLowerCase().startsWith("::ffff:") && own.includes(".") ? own.slice(7) : own,
      );
    }),
  );
});

test("behind a proxy of ours nobody writes an address of theirs before the one that the proxy saw", () => {
  fc.assert(
    fc.property(forwarded, fc.ipV4(), (names, seen) => {
      if (seen.startsWith("10.")) return;
      const request = requestFrom("10.0.0.1", [...names, seen].join(", "));
      expect(clientAddress(request, readTrustedProxies(["10.0.0.0/8"]))).toBe(seen);
    }),
  );
  fc.assert(
    fc.property(forwarded, (names) => {
      expect(isIP(clientAddress(requestFrom("10.0.0.1", names.join(", ")), readTrustedProxies(["10.0.0.0/8"])))).not.toBe(0);
    }),
  );
});

test("a list of proxies is taken, or refused with what is wrong", () => {
  const subnet = fc.oneof(
    fc
      .tuple(fc.oneof(address, fc.constant("")), fc.oneof(fc.nat(200).map(String), fc.constantFrom("", "-1", "08", "1e1", "8/8")))
      .map((parts) => parts.join("/")),
    fc.string({ unit: "binary", maxLength: 10 }),
  );
  fc.assert(
    fc.property(subnet, (text) => {
      try {
        expect(readTrustedProxies([text])("203.0.113.1")).toBeTypeOf("boolean");
      } catch (error) {
        expect(error).toBeInstanceOf(AppError);
      }
    }),
  );
});
