import type { JsonSchema } from "@hardshare/protocol";
import fc from "fast-check";
import { expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { parseStrictJson } from "../rules/json-text.ts";
import { compileValueCondition } from "../rules/value-condition.ts";
import { inferSchema } from "./infer-schema.ts";

/** A value that a filter can have recorded, as it is read again. */
const message = fc
  .oneof(fc.jsonValue({ maxDepth: 6 }), fc.dictionary(fc.constantFrom("speed", "time", "mode", "list"), fc.jsonValue({ maxDepth: 3 })))
  .map((value) => parseStrictJson(JSON.stringify(value)))
  .filter((read) => "value" in read)
  .map((read) => (read as { value: unknown }).value)
  .filter((value) => !JSON.stringify(value).includes('"__proto__"')); // no schema can name it

/** The condition that a rules file has, in which the schema was written. */
function learn(values: readonly unknown[]) {
  const condition = compileValueCondition(parse(stringify(inferSchema(values))) as JsonSchema);
  if ("problem" in condition) throw new Error(`${condition.problem} at ${condition.path.join("/")}`);
  return condition;
}

test("a proposed schema is one, and lets through all that it was made of", () => {
  fc.assert(
    fc.property(fc.array(message, { minLength: 1, maxLength: 15 }), (values) => {
      const condition = learn(values);
      for (const value of values) expect(condition.check(structuredClone(value))).toHaveProperty("value");
    }),
  );
});

test("a proposed schema refuses a number beyond those seen, and a field or a text that was not seen", () => {
  const number = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e9, max: 1e9 });
  fc.assert(
    fc.property(
      fc.array(fc.record({ speed: number, mode: fc.constantFrom("slow", "fast") }), { minLength: 1 }),
      fc.double({ min: 0.001, max: 1e9, noNaN: true }),
      (values, beyond) => {
        const condition = learn(values);
        const [first] = values;
        const speeds = values.map(({ speed }) => speed);
        for (const speed of [Math.max(...speeds) + beyond, Math.min(...speeds) - beyond]) {
          expect(condition.check({ ...first, speed })).toHaveProperty("problem");
        }
        expect(condition.check({ ...first, mode: "warp" })).toHaveProperty("problem");
        expect(condition.check({ ...first, other: 1 })).toHaveProperty("problem");
        expect(condition.check({ mode: first?.mode })).toHaveProperty("problem");
      },
    ),
  );
});
