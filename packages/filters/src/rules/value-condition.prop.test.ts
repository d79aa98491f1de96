import fc from "fast-check";
import { expect, test } from "vitest";
import { compilePlace, findPlaces } from "./json-place.ts";
import { parseStrictJson } from "./json-text.ts";
import { compileValueCondition } from "./value-condition.ts";

const key = fc.constantFrom("a", "b", "A", "0", "1", "__proto__", "~", "/");
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: "medium" },
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.integer({ min: -20, max: 20 }),
    fc.constantFrom(null, true, "1", "x"),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(key, tie("value"), { maxKeys: 3 }),
  ),
}));
const place = fc
  .array(fc.oneof(fc.constant("*"), key), { minLength: 1, maxLength: 3 })
  .map((parts) => `/${parts.map((part) => part.replaceAll("~", "~0").replaceAll("/", "~1")).join("/")}`);
const range = fc.tuple(fc.integer({ min: -10, max: 10 }), fc.nat(8)).map(([least, width]): [number, number] => [least, least + width]);

test("no number that has a range ever passes outside of it, and nothing else is changed", () => {
  fc.assert(
    fc.property(value, fc.dictionary(place, range, { minKeys: 1, maxKeys: 3 }), (message, clamp) => {
      const condition = compileValueCondition(true, clamp);
      if ("problem" in condition) throw new Error(condition.problem);
      const before = JSON.stringify(message);
      const verdict = condition.check(message);
      if ("problem" in verdict) return;
      expect(JSON.stringify(verdict.value) === before).toBe(verdict.changed === undefined);
      // What reaches the device is the text that is written of the value.
      const written: unknown = JSON.parse(JSON.stringify(verdict.value));
      const original: unknown = JSON.parse(before);
      for (const [source, [least, most]] of Object.entries(clamp)) {
        for (const { holder, key } of findPlaces(written, compilePlace(source))) {
          expect(holder[key]).toSatisfy((number) => typeof number === "number" && number >= least && number <= most);
          holder[key] = 0;
        }
        for (const { holder, key } of findPlaces(original, compilePlace(source))) holder[key] = 0;
      }
      expect(written).toEqual(original);
    }),
  );
});

test("what passes a schema without ranges is the message itself", () => {
  const condition = compileValueCondition({
    type: "object",
    additionalProperties: false,
    properties: { a: { type: "number", minimum: 0, maximum: 10 }, b: { type: "array", items: { type: "string" }, maxItems: 2 } },
  });
  if ("problem" in condition) throw new Error(condition.problem);
  fc.assert(
    fc.property(value, (message) => {
      const read = parseStrictJson(JSON.stringify(message));
      if ("problem" in read) return;
      const verdict = condition.check(read.value);
      if ("problem" in verdict) return;
      const { a, b, ...others } = verdict.value as { a?: unknown; b?: unknown };
      expect(others).toEqual({});
      expect(a === undefined || (typeof a === "number" && a >= 0 && a <= 10)).toBe(true);
      expect(b === undefined || (Array.isArray(b) && b.length <= 2 && b.every((each) => typeof each === "string"))).toBe(true);
    }),
  );
});
