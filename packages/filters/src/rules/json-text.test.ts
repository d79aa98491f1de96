import { describe, expect, test } from "vitest";
import { parseStrictJson } from "./json-text.ts";

const problemOf = (source: string | Uint8Array) => (parseStrictJson(source) as { problem?: string }).problem;

describe("a text that every parser reads alike is taken", () => {
  test.each([
    ["true"],
    ["-0"],
    ['"\u00e9 \\u00e9 \\ud83e\\udd16"'],
    ['{"a":1,"b":[{"a":1},{"a":2}],"":{"a":null}}'],
    ["[0.1,1.0,1e2,100000000000000000000,-1.5E-3,9007199254740992,123456789.123456789e-9,0.1000000000000000055511151231257827]"],
    [' \t\r\n{ "a" \n:\t1 } '],
    ['{"a":"\\"a\\":","b":"\\\\"}'],
    ['"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["'],
    [`${"[".repeat(64)}${"]".repeat(64)}`],
    [JSON.stringify(Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`field_${index}`, index])))],
  ])("%s", (text) => {
    expect(parseStrictJson(text)).toEqual({ value: JSON.parse(text) });
    expect(parseStrictJson(Buffer.from(text))).toEqual({ value: JSON.parse(text) });
  });
});

describe("a field that is given twice is refused", () => {
  test.each([
    ['{"a":1,"a":1}'],
    ['{"speed":1,"Speed":2}'],
    ['{"a":1,"\\u0061":2}'],
    ['{"\\u0041":1,"a":2}'],
    ['{"\u212a":1,"k":2}'], // the sign for Kelvin
    ['{"stra\u00dfe":1,"STRASSE":2}'],
    ['{"\u00e9":1,"e\u0301":2}'],
    ['{"x":{"a":[{}],"b":{"a":1},"A":0}}'],
    ['{"a" :1,"a"\n:2}'],
    ['{"__proto__":1,"__proto__":2}'],
    [`{${Array.from({ length: 100 }, (_, index) => `"f${index}":0`).join()},"F99":1}`],
  ])("%s", (text) => {
    expect(problemOf(text)).toMatch(/ is given twice$/);
  });

  test("but not names that only have the same hash", () => {
    // The hash takes `@` for a backquote; others are found by adding 31 to one letter and taking 1 from the one before.
    expect(parseStrictJson('{"@":1,"`":2,"b!":3,"a@":4}')).toEqual({ value: { "@": 1, "`": 2, "b!": 3, "a@": 4 } });
  });
});

describe("what a device could read otherwise is refused", () => {
  test.each([
    ["9007199254740993", "can't be kept as it is"],
    ["9007199254740993.0", "can't be kept as it is"],
    ["90071992547409930000e-4", "can't be kept as it is"],
    ["1e400", "can't be kept as it is"],
    ["-1e-400", "can't be kept as it is"],
    ['"\\ud800"', "half a surrogate pair"],
    ['{"\\udc00x":1}', "half a surrogate pair"],
    ['"\ud800"', "half a surrogate pair"],
    ['"robot\\u0000"', "NUL"],
    ['{"speed\\u0000x":1}', "NUL"],
    ["\ufeff{}", "byte order mark"],
    [`${"[".repeat(65)}${"]".repeat(65)}`, "deeper than 64"],
    [`${'{"a":'.repeat(65)}1${"}".repeat(65)}`, "deeper than 64"],
  ])("%j: %s", (text, problem) => {
    expect(problemOf(text)).toContain(problem);
  });

  test.each([[[0x22, 0xff, 0x22]], [[0x22, 0xc0, 0xaf, 0x22]], [[0x22, 0xed, 0xa0, 0x80, 0x22]], [[0x22, 0xf4, 0x90, 0x80, 0x80, 0x22]]])(
    "bytes that are not UTF-8: %j",
    (bytes) => {
      expect(problemOf(Uint8Array.from(bytes))).toBe("the JSON text is not valid UTF-8");
    },
  );

  test("UTF-16", () => {
    expect(problemOf(Buffer.from("{}", "utf16le"))).toContain("this is no JSON text");
  });
});

describe("what is no JSON is refused", () => {
  test.each([
    "",
    " ",
    "{",
    "[1,]",
    "{'a':1}",
    "{a:1}",
    "NaN",
    "Infinity",
    "+1",
    "01",
    "1.",
    ".5",
    "0x10",
    "1 2",
    '"\\x"',
    '"a\nb"',
    '"',
    '"\\',
    "// a\n1",
  ])("%j", (text) => {
    expect(problemOf(text)).toMatch(/^this is no JSON text: /);
  });
});

test("a megabyte of whatever is worst takes no longer than a plain one", () => {
  const sizeChars = 1024 ** 2;
  const timeOf = (text: string) => {
    const before = performance.now();
    parseStrictJson(text);
    return performance.now() - before;
  };
  const plain = JSON.stringify("x".repeat(sizeChars));
  timeOf(plain);
  const manyNames = `{${Array.from({ length: sizeChars / 10 }, (_, index) => `"${String(index).padStart(6, "0")}":0`).join()}}`;
  const sameHash = `{${Array.from({ length: sizeChars / 10 }, (_, index) => `"${index.toString(2).replaceAll("0", "@").replaceAll("1", "`")}":0`).join()}}`;
  for (const text of [
    "[".repeat(sizeChars),
    "0".repeat(sizeChars),
    `1${"0".repeat(sizeChars)}1`,
    `"${"\\\\".repeat(sizeChars / 2)}"`,
    manyNames,
    sameHash,
  ]) {
    expect(timeOf(text)).toBeLessThan(3000);
  }
});
