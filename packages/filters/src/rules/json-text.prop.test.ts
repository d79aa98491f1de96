import { parse as parseYaml } from "yaml";
import fc from "fast-check";
import { expect, test } from "vitest";
import { parseStrictJson } from "./json-text.ts";

/** A text is read in microseconds: more of them than of what properties usually try. */
const MANY = 10 * (fc.readConfigureGlobal().numRuns ?? 100);

/** JSON with all that is written in more than one way: escapes, numbers, blanks. */
const name = fc.oneof(
  fc.constantFrom("a", "A", "b", "\\u0061", "\\u0041", "\u00e9", "e\\u0301", "", "__proto__", "\\n"),
  fc.string({ maxLength: 3 }).map((text) => JSON.stringify(text).slice(1, -1)),
);
const blank = fc.constantFrom("", "", "", " ", "\n", "\t ");
const number = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.tuple(fc.integer(), fc.nat(400), fc.boolean()).map(([whole, exponent, isSmall]) => `${whole}e${isSmall ? "-" : ""}${exponent}`),
  fc.tuple(fc.bigInt({ min: -(10n ** 22n), max: 10n ** 22n }), fc.nat(999)).map(([whole, fraction]) => `${whole}.${fraction}`),
);
const { text } = fc.letrec<{ text: string }>((tie) => ({
  text: fc.oneof(
    { depthSize: "small" },
    fc.constantFrom("true", "false", "null"),
    number,
    name.map((each) => `"${each}"`),
    fc.tuple(blank, fc.array(tie("text"), { maxLength: 4 })).map(([space, items]) => `[${space}${items.join(`${space},`)}]`),
    fc
      .tuple(blank, fc.array(fc.tuple(name, tie("text")), { maxLength: 4 }))
      .map(([space, fields]) => `{${space}${fields.map(([key, value]) => `"${key}"${space}:${value}${space}`).join(",")}}`),
  ),
}));
const broken = fc
  .tuple(
    text,
    fc.nat(),
    fc.oneof(
      fc.constantFrom("", '"', "\\", "{", "}", "[", "]", ",", ":", "0", "-", "\0", "\ud800"),
      fc.string({ unit: "binary", maxLength: 2 }),
    ),
  )
  .map(
    ([whole, at, piece]) =>
      whole.slice(0, at % (whole.length + 1)) + piece + whole.slice((at % (whole.length + 1)) + (piece === "" ? 1 : 0)),
  );

test("what is taken is what JSON.parse reads, and means the same when it is written again", () => {
  fc.assert(
    fc.property(fc.oneof(text, broken), (source) => {
      const read = parseStrictJson(source);
      if ("problem" in read) return;
      expect(read.value).toEqual(JSON.parse(source));
      expect(parseStrictJson(JSON.stringify(read.value))).toEqual({ value: JSON.parse(JSON.stringify(read.value)) });
    }),
    { numRuns: MANY },
  );
});

test("what JSON.parse does not read is refused", () => {
  fc.assert(
    fc.property(broken, (source) => {
      try {
        JSON.parse(source);
      } catch {
        expect(parseStrictJson(source)).toHaveProperty("problem");
      }
    }),
    { numRuns: MANY },
  );
});

test("where a second parser, which refuses a field given twice, disagrees, the text is refused", () => {
  fc.assert(
    fc.property(text, (source) => {
      const read = parseStrictJson(source);
      if ("problem" in read) return;
      // JSON is YAML, but for the name `__proto__`, of which that parser makes something else.
      if (source.includes("__proto__")) return;
      expect(parseYaml(source, { uniqueKeys: true, schema: "json", intAsBigInt: false })).toEqual(read.value);
    }),
    { numRuns: MANY },
  );
});

test("objects without ambiguity are taken", () => {
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: true, maxDepth: 6 }), (value) => {
      const source = JSON.stringify(value);
      const names = new Set<string>();
      let isAmbiguous = source.includes("\\u0000");
      JSON.parse(source, (_key, each: unknown) => {
        if (typeof each === "object" && each !== null && !Array.isArray(each)) {
          names.clear();
          for (const key of Object.keys(each)) {
            const folded = key.toLowerCase();
            isAmbiguous ||= names.has(folded);
            names.add(folded);
          }
        }
        return each;
      });
      if (!isAmbiguous) expect(parseStrictJson(source)).toEqual({ value: JSON.parse(source) });
    }),
    { numRuns: MANY },
  );
});
