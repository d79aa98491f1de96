import { ManualClock } from "@hardshare/runtime";
import { describe, expect, test } from "vitest";
import { serialRules } from "../testing/serial-world.ts";
import { judgeSerial } from "./serial-rules.ts";

const judge = (rules: string, text: string) => judgeSerial(serialRules(rules).in, text);
const ALLOW_MOVE = String.raw`
rules:
  - allow: G1 X(?<x>\S+)( F(?<f>\d+))?
    groups:
      x: { type: number, minimum: -100, maximum: 100 }
      f: { type: integer, maximum: 600 }
`;

describe("a message", () => {
  test.each([
    ["G1 X5", "allow"],
    ["G1 X-5.25 F600", "allow"],
    ["G1 X5 ", "block"],
    [" G1 X5", "block"],
    ["g1 x5", "block"],
    ["G1 X5\nM112", "block"],
    ["G1 X101", "block"],
    ["G1 X5 F601", "block"],
    ["", "block"],
  ])("that is %j is decided: %s", (text, decision) => {
    expect(judge(ALLOW_MOVE, text)).toMatchObject({ decision });
  });

  test.each(["1e2", "0x10", "NaN", "Infinity", "1_0", "1.2.3", "--1", "+", ".", "5\0", "10000000000000001", "0.10000000000000001"])(
    "whose number is written as %j, which devices may read otherwise, is no number",
    (number) => {
      expect(judge(ALLOW_MOVE, `G1 X${number}`)).toMatchObject({ decision: "block", because: "/x must be number" });
    },
  );

  test("that is allowed tells its parts, numbers as numbers, without those that are not there", () => {
    expect(judge(ALLOW_MOVE, "G1 X-.50")).toEqual({ decision: "allow", rule: expect.any(String), text: "G1 X-.50", parts: { x: -0.5 } });
  });

  test("is decided by the first rule that matches, whatever its conditions say", () => {
    const rules = "rules: [{ allow: 'M(?<n>\\d+)', groups: { n: { const: 3 } } }, { allow: M4 }]";
    expect(judge(rules, "M3")).toMatchObject({ decision: "allow" });
    expect(judge(rules, "M4")).toMatchObject({ decision: "block", rule: "M(?<n>\\d+)" });
  });

  test("that no rule matches is blocked, or, when the file says so, allowed", () => {
    expect(judge("", "x")).toMatchObject({ decision: "block", rule: "default" });
    expect(judge("default: allow", "x")).toMatchObject({ decision: "allow", rule: "default", text: "x" });
  });
});

test.each(["M112", "m112", " M112 ", "M112\0", "M 112", "\x08M112\t", "M1\x7f12"])("a block of M112 holds for %j", (text) => {
  expect(judge("{ default: allow, rules: [{ block: M112, because: no }] }", text)).toMatchObject({ decision: "block", because: "no" });
});

test.each(["G28 X0", "G28  X0", "G28\tX0", " g28 \t x0 ", "G28 \0 X0"])("a block of G28 X0 holds for %j", (text) => {
  expect(judge("{ default: allow, rules: [{ block: G28 X0 }] }", text)).toMatchObject({ decision: "block", rule: "G28 X0" });
});

describe("clamp", () => {
  const rules = String.raw`
rules:
  - allow: G1 X(?<x>\S+) Y(?<y>-?\d{1,2})
    groups: { x: { type: number } }
    clamp: { x: [-10, 10.5], y: [-5, 5] }
`;
  test("writes numbers into the message that are in range, and leaves the others as they are written", () => {
    expect(judge(rules, "G1 X-99 Y04")).toMatchObject({ decision: "allow", text: "G1 X-10 Y4", because: "x brought into -10 to 10.5" });
    expect(judge(rules, "G1 X1000.0 Y99")).toMatchObject({ decision: "allow", text: "G1 X10.5 Y5" });
    expect(judge(rules, "G1 X10.50 Y5")).toMatchObject({ decision: "allow", text: "G1 X10.50 Y5" });
  });

  test("blocks a message that would not fit its pattern any more", () => {
    const narrow = String.raw`{ rules: [{ allow: 'P(?<p>\d)', clamp: { p: [10, 20] } }] }`;
    expect(judge(narrow, "P5")).toMatchObject({ decision: "block", because: expect.stringContaining("does not fit the owner's pattern") });
  });

  test("blocks what is no number", () => {
    const loose = String.raw`{ rules: [{ allow: 'P(?<p>\S+)', clamp: { p: [1, 2] } }] }`;
    expect(judge(loose, "P1e9")).toMatchObject({ decision: "block" });
  });
});

test("rate and budget count what passes, and a number of the message", () => {
  const clock = new ManualClock();
  const { in: rules } = serialRules(
    String.raw`{ rules: [{ allow: 'W(?<j>\d+)', groups: { j: { maximum: 90, type: number } }, rate: 2/s, budget: { at_most: 100, of: j } }] }`,
    clock,
  );
  expect(judgeSerial(rules, "W99")).toMatchObject({ decision: "block" });
  expect(judgeSerial(rules, "W60")).toMatchObject({ decision: "allow" });
  expect(judgeSerial(rules, "W41")).toMatchObject({ decision: "block", because: expect.stringContaining("60 is used, this takes 41") });
  expect(judgeSerial(rules, "W40")).toMatchObject({ decision: "allow" });
  expect(judgeSerial(rules, "W0")).toMatchObject({ decision: "block", because: expect.stringContaining("2/s") });
  clock.advance(1000);
  expect(judgeSerial(rules, "W0")).toMatchObject({ decision: "allow" });
});

test.each([
  ["rules: [{ allow: 'G1 (' }]", "test.yaml:1:18: rules.0.allow: expected a regular expression"],
  ["rules: [{ allow: 'a)|(b' }]", "rules.0.allow: expected a regular expression"],
  ["rules: [{ allow: 'G1( X(?<x>\\d+))*' }]", "rules.0.allow: expected no named part in what may be repeated: of (?<x>…)"],
  ["rules: [{ allow: '(?<x>\\d){1,2}' }]", "rules.0.allow: expected no named part"],
  [
    "rules: [{ allow: 'G1 X(?<x>\\d+)', groups: { y: { type: number } } }]",
    "rules.0.groups.y: expected a named part of the pattern: it has x",
  ],
  ["rules: [{ allow: 'G1', clamp: { x: [0, 1] } }]", "rules.0.clamp.x: expected a named part of the pattern: it names none"],
  ["rules: [{ allow: 'G1', budget: { at_most: 1, of: x } }]", "rules.0.budget.of: expected a named part"],
  ["rules: [{ allow: 'G1 X(?<x>\\d+)', groups: { x: { minimum: 3 } } }]", "rules.0.groups.x: expected a JSON Schema"],
  ["output: { rules: [{ block: '[' }] }", "output.rules.0.block: expected a regular expression"],
  ["messages: { end: line, length: 4 }", "messages.length: expected either `end` or `length`"],
  ["messages: { length: 4, realtime: ['!'] }", "messages.realtime: expected none with `length`"],
  ["messages: { realtime: [10] }", "messages.realtime: expected no byte that ends a message"],
  ["{ messages: { length: 4 }, refusal: no }", "refusal: expected none with `length`"],
])("the rules %s are refused with their place", (rules, message) => {
  expect(() => serialRules(rules)).toThrow(expect.objectContaining({ code: "config_invalid", message: expect.stringContaining(message) }));
});

test.each(["(?<x>\\d){1}", "(?:(?<x>\\d)|b)?", "[(*](?<x>a)", "\\((?<x>a)\\)+", "(?<x>a+)"])(
  "the pattern %s names a part that is there at most once",
  (allow) => {
    expect(() => serialRules(JSON.stringify({ rules: [{ allow }] }))).not.toThrow();
  },
);

test("a pattern for the device's answer that is none is told at its field", () => {
  expect(() => serialRules("answer: '('")).toThrow(/answer: expected a regular expression/);
});
