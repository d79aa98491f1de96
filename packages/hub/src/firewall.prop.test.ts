import fc from "fast-check";
import { expect, test } from "vitest";
import { decideFirewall } from "./firewall.ts";

const address = fc.oneof(
  fc.ipV4(),
  fc.ipV6(),
  fc.ipV4().map((plain) => `::ffff:${plain}`),
  fc.constantFrom("", "localhost", "1.2.3", "0x7f.1", "127.1", "::1%eth0", "1.2.3.4/8", " 1.2.3.4", "[::1]"),
  fc.string({ unit: "binary", maxLength: 12 }),
);
const source = fc.oneof(
  address,
  fc.tuple(address, fc.integer({ min: -1, max: 200 })).map(([base, prefix]) => `${base}/${prefix}`),
);
const rule = fc.record({ source, action: fc.constantFrom("ACCEPT" as const, "DROP" as const, "REJECT" as const) });

test("whatever stands in a firewall or for an address, a decision is made, and nobody is let in who is not named", () => {
  fc.assert(
    fc.property(fc.array(rule, { maxLength: 4 }), address, (firewall, from) => {
      const action = decideFirewall(firewall, from);
      expect(["ACCEPT", "DROP", "REJECT"]).toContain(action);
      if (!firewall.some((one) => one.action === "ACCEPT")) expect(action).not.toBe("ACCEPT");
    }),
  );
});

test("an address is let in by itself and by its subnets, written as IPv4 or as IPv4 in IPv6", () => {
  fc.assert(
    fc.property(fc.ipV4(), fc.integer({ min: 0, max: 32 }), fc.boolean(), fc.boolean(), (plain, prefix, isMappedRule, isMappedVisitor) => {
      const named = isMappedRule ? `::ffff:${plain}/${96 + prefix}` : `${plain}/${prefix}`;
      const visitor = isMappedVisitor ? `::ffff:${plain}` : plain;
      expect(decideFirewall([{ source: named, action: "ACCEPT" }], visitor)).toBe("ACCEPT");
      expect(decideFirewall([{ source: named, action: "REJECT" }], visitor)).toBe("REJECT");
    }),
  );
});
