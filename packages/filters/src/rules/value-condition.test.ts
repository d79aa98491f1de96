import type { Clamp, JsonSchema } from "@hardshare/protocol";
import { describe, expect, test } from "vitest";
import { compileValueCondition } from "./value-condition.ts";

const drive: JsonSchema = {
  type: "object",
  additionalProperties: false,
  required: ["speed", "time"],
  properties: {
    speed: { type: "number", minimum: -12, maximum: 12 },
    time: { type: "integer", minimum: 100, maximum: 5000 },
    joints: { type: "array", maxItems: 6, items: { type: "object", properties: { angle: { type: "number" } } } },
    name: { type: "string", pattern: "^[a-z]+$" },
  },
};

function check(schema: JsonSchema, value: unknown, clamp?: Clamp) {
  const condition = compileValueCondition(schema, clamp);
  if ("problem" in condition) throw new Error(condition.problem);
  return condition.check(value);
}

function problemOf(schema: JsonSchema, clamp?: Clamp) {
  const condition = compileValueCondition(schema, clamp);
  if (!("problem" in condition)) throw new Error("the condition was accepted");
  return condition;
}

describe("a value", () => {
  test("that fits passes as it is", () => {
    expect(check(drive, { speed: 12, time: 100 })).toEqual({ value: { speed: 12, time: 100 } });
  });

  test.each([
    [{ speed: 12.1, time: 100 }, "/speed must be <= 12"],
    [{ speed: "12", time: 100 }, "/speed must be number"],
    [{ speed: 1, time: 100.5 }, "/time must be integer"],
    [{ time: 100 }, "the value must have required property 'speed'"],
    [{ speed: 1, time: 100, Speed: 99 }, 'the value must NOT have additional properties: "Speed"'],
    [{ speed: 1, time: 100, name: "R2" }, '/name must match pattern "^[a-z]+$"'],
    [[], "the value must be object"],
    [null, "the value must be object"],
    [JSON.parse('{"speed":1,"time":100,"__proto__":1}'), 'the value must NOT have additional properties: "__proto__"'],
  ])("that does not fit is refused with the reason: %j", (value, problem) => {
    expect(check(drive, value)).toEqual({ problem });
  });

  test.each([
    [{ Speed: 99 }, 'speed: expected this spelling, not "Speed"'],
    [{ arms: [{ "\u017fpeed": 99 }] }, 'speed: expected this spelling, not "\u017fpeed"'],
    [JSON.parse('{"__proto__":{"speed":99}}'), "expected no field of the name __proto__"],
  ])("has no field that a device could take for another one, though others may be there: %j", (value, problem) => {
    const open: JsonSchema = { type: "object", properties: { speed: { type: "number", maximum: 12 }, arms: { type: "array" } } };
    expect(check(open, { other: 1, speed: 3 })).toEqual({ value: { other: 1, speed: 3 } });
    expect(check(open, value)).toEqual({ problem });
  });

  test("may have two fields that differ in letter case alone, where the schema names both", () => {
    const both: JsonSchema = { type: "object", properties: { x: { type: "number" }, X: { type: "number" } } };
    expect(check(both, { x: 1, X: 2 })).toEqual({ value: { x: 1, X: 2 } });
  });

  test("has only the fields that are its own", () => {
    expect(check({ type: "object", required: ["constructor"] }, {})).toHaveProperty("problem");
    expect(check({ type: "object", properties: { toString: { type: "number" } } }, {})).toEqual({ value: {} });
  });

  test("with a text that is too long for a pattern is refused, whatever the schema makes of the pattern", () => {
    const long = "a".repeat(1025);
    const problem = "a text has more than 1024 characters, and the owner's schema has a pattern for it";
    for (const schema of [
      { type: "string", pattern: "^a" },
      { type: "string", not: { pattern: "reboot" } },
      { anyOf: [{ type: "string", pattern: "b" }, { type: "string" }] },
    ]) {
      expect(check(schema, long)).toEqual({ problem });
      expect(check(schema, "a")).toEqual({ value: "a" });
    }
    expect(check({ type: "object", patternProperties: { "^x": false } }, { [long]: 1 })).toEqual({ problem });
  });

  test("is held against each pattern of a schema, not only the first", () => {
    const schema = { type: "object", properties: { a: { type: "string", pattern: "^a$" }, b: { type: "string", pattern: "^b$" } } };
    expect(check(schema, { a: "a", b: "b" })).toHaveProperty("value");
    expect(check(schema, { a: "a", b: "a" })).toHaveProperty("problem");
  });
});

describe("a number that has a range", () => {
  test.each([
    [{ speed: 10, time: 200 }, { speed: 8, time: 200 }, "speed brought into -8 to 8"],
    [{ speed: -10, time: 200 }, { speed: -8, time: 200 }, "speed brought into -8 to 8"],
    [{ speed: 8, time: 200 }, { speed: 8, time: 200 }, undefined],
  ])("is brought into it: %j", (value, after, changed) => {
    expect(check(drive, value, { speed: [-8, 8] })).toEqual({ value: after, changed });
  });

  test("is refused first when it is out of the schema", () => {
    expect(check(drive, { speed: 13, time: 200 }, { speed: [-8, 8] })).toEqual({ problem: "/speed must be <= 12" });
  });

  test("is found everywhere that a pointer leads", () => {
    const value = { speed: 1, time: 200, joints: [{ angle: 10 }, {}, { angle: -10 }] };
    expect(check(drive, value, { "/joints/*/angle": [0, 5] })).toEqual({
      value: { speed: 1, time: 200, joints: [{ angle: 5 }, {}, { angle: 0 }] },
      changed: "/joints/*/angle brought into 0 to 5",
    });
    expect(check(true, { "a/b": { "~": 9 } }, { "/a~1b/~0": [0, 1] })).toMatchObject({ value: { "a/b": { "~": 1 } } });
  });

  test("must be a number, and written as the rule has it", () => {
    expect(check(true, { speed: "100" }, { speed: [0, 1] })).toEqual({
      problem: "speed: expected a number, because it is brought into range",
    });
    expect(check(true, { Speed: 100 }, { speed: [0, 1] })).toEqual({ problem: 'speed: expected this spelling, not "Speed"' });
    expect(check(true, { a: [{ SPEED: 100 }] }, { "/A/*/speed": [0, 1] })).toEqual({
      problem: '/A/*/speed: expected this spelling, not "a"',
    });
    expect(check(true, { a: [{ SPEED: 100 }] }, { "/a/*/speed": [0, 1] })).toEqual({
      problem: '/a/*/speed: expected this spelling, not "SPEED"',
    });
  });

  test("is refused when its range and the schema contradict each other", () => {
    expect(check({ type: "object", properties: { time: { type: "integer" } } }, { time: 9 }, { time: [0, 1.5] })).toEqual({
      problem: "time brought into 0 to 1.5: then /time must be integer",
    });
  });

  test("is refused when its ranges contradict each other", () => {
    expect(check(true, { a: { x: 6 } }, { "/a/*": [0, 5], "/a/x": [7, 9] })).toMatchObject({
      problem: expect.stringContaining("/a/* is in no range"),
    });
  });
});

describe("a schema that is wrong is refused, with the field", () => {
  test.each<[JsonSchema, string, string[]]>([
    [{ type: "objekt" }, "must be equal to one of the allowed values", ["type"]],
    [{ type: "object", properties: { x: { type: "number", minimum: "3" } } }, "must be number", ["properties", "x", "minimum"]],
    [{ type: "object", properties: { x: { type: "number", maximun: 3 } } }, 'unknown keyword: "maximun"', ["properties", "x", "maximun"]],
    [{ type: "object", properties: { x: { minimum: 3 } } }, 'missing type "number" for keyword "minimum"', ["properties", "x"]],
    [{ properties: { x: { type: "number" } } }, 'missing type "object" for keyword "properties"', []],
    [
      { type: "object", properties: { x: { type: "string", format: "date" } } },
      'unknown format "date" ignored in schema',
      ["properties", "x"],
    ],
    [{ type: "object", properties: { x: { type: "string", pattern: "(" } } }, "Unterminated group", ["properties", "x", "pattern"]],
    [{ type: "object", patternProperties: { "(": true } }, "Unterminated group", ["patternProperties", "("]],
    [{ type: "array", uniqueItems: true }, "with uniqueItems, maxItems must be at most 1000", []],
    [{ $async: true, type: "string" }, "without $async", ["$async"]],
    [{ $ref: "http://example.com/schema" }, "can't resolve reference", []],
    [
      { $schema: "http://json-schema.org/draft-07/schema#", type: "string" },
      "https://json-schema.org/draft/2020-12/schema, or no $schema",
      ["$schema"],
    ],
  ])("%j: %s", (schema, problem, path) => {
    expect(problemOf(schema)).toEqual({ of: "schema", problem: expect.stringContaining(problem), path });
  });

  test("a range for a field that the schema does not have", () => {
    expect(problemOf(drive, { sped: [0, 1] })).toEqual({
      of: "clamp",
      problem: 'expected a field of the schema, which has no "sped"',
      path: ["sped"],
    });
    for (const place of ["/joints/*/angle", "/joints/0/angle", "speed"])
      expect(compileValueCondition(drive, { [place]: [0, 1] })).toHaveProperty("check");
  });
});

test("two schemas may have the same id", () => {
  expect(check({ $id: "x", type: "number" }, 1)).toHaveProperty("value");
  expect(check({ $id: "x", type: "string" }, "a")).toHaveProperty("value");
});
