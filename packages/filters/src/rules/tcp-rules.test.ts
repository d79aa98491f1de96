import { expect, test } from "vitest";
import { makeLimits } from "../testing/filter-world.ts";
import { plainAddress } from "./peer-pattern.ts";
import { judgePeer, parseTcpRules } from "./tcp-rules.ts";

const parse = (text: string) => parseTcpRules(text, "plc.yaml", makeLimits());
const judge = (text: string, address: string, others = 0) => judgePeer(parse(text), address, () => others);

test.each([
  ["10.0.0.0/8", "10.1.2.3", "allow"],
  ["10.0.0.0/8", "11.1.2.3", "block"],
  ["10.0.0.1", "10.0.0.1", "allow"],
  ["10.0.0.1", "10.0.0.10", "block"],
  ["0.0.0.0/0", "fd00::1", "block"],
  ["fd00::/8", "fd12::1", "allow"],
  ["fd00::/8", "10.0.0.1", "block"],
  ["::1", "::1", "allow"],
  ["'*'", "fd12::1", "allow"],
])("a rule for %s decides for %s: %s", (pattern, address, decision) => {
  expect(judge(`rules: [{ allow: ${pattern} }]`, address)).toMatchObject({ decision });
});

test("an IPv4 address is the same however it is written, and a zone does not hide an address", () => {
  expect(plainAddress("::ffff:10.0.0.1")).toBe("10.0.0.1");
  expect(plainAddress("fe80::1%eth0")).toBe("fe80::1");
  for (const address of ["::ffff:10.0.0.1", "10.0.0.1"]) {
    expect(judge("default: allow\nrules: [{ block: 10.0.0.0/8 }]", address)).toMatchObject({ decision: "block", rule: "10.0.0.0/8" });
  }
});

test("the first rule that matches decides, then the default; an empty file blocks", () => {
  const text = "rules:\n  - { block: 10.0.0.7, because: it is the printer }\n  - allow: 10.0.0.0/8\n";
  expect(judge(text, "10.0.0.7")).toEqual({ decision: "block", rule: "10.0.0.7", because: "it is the printer" });
  expect(judge(text, "10.0.0.8")).toMatchObject({ decision: "allow", rule: "10.0.0.0/8" });
  expect(judge("", "10.0.0.8")).toMatchObject({ decision: "block", rule: "default" });
  expect(judge("default: allow", "10.0.0.8")).toEqual({ decision: "allow", rule: "default", matched: undefined });
});

test("no more connections than the rule allows at the same time", () => {
  const text = "rules: [{ allow: '*', at_once: 2 }]";
  expect(judge(text, "10.0.0.8", 1)).toMatchObject({ decision: "allow" });
  expect(judge(text, "10.0.0.8", 2)).toMatchObject({
    decision: "block",
    because: "the owner allows 2 of these connections at the same time",
  });
});

test.each([
  ["rules: [{ allow: 10.0.0.0/33 }]", "rules.0.allow: expected an address"],
  ["rules: [{ allow: 10.0.0 }]", "rules.0.allow: expected an address"],
  ["rules: [{ block: fe80::1%eth0 }]", "rules.0.block: expected an address"],
  ["rules: [{ allow: 10.0.0.0/ }]", "rules.0.allow: expected an address"],
  ["rules: [{ allow: '*', idle: soon }]", 'rules.0.idle: "soon" is no duration'],
  ["rules: [{ allow: '*', bytes_per_second: { in: fast } }]", "rules.0.bytes_per_second.in: expected bytes such as 4096, 64k or 2m"],
  ["rules: [{ allow: '*', at_once: 0 }]", "rules.0.at_once: "],
  ["rules: [{ allow: '*', budget: { at_most: 3, of: bytes } }]", "rules.0.budget.of: expected none"],
])("%s is refused with the field and what was expected", (text, problem) => {
  expect(() => parse(text)).toThrow(problem);
});
