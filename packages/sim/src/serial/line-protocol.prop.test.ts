import fc from "fast-check";
import { expect, test } from "vitest";
import { LineSplitter } from "./line-splitter.ts";

const bytes = fc
  .array(fc.oneof(fc.constantFrom("\r", "\n", "\r\n", "G1 X10", "M114", "é"), fc.string({ unit: "binary", maxLength: 12 })), {
    maxLength: 20,
  })
  .map((pieces) => Buffer.from(pieces.join(""), "latin1"));

test("any bytes give the same lines, wherever they are cut", () => {
  fc.assert(
    fc.property(bytes, fc.integer({ min: 1, max: 8 }), (whole, maxBytes) => {
      const byByte = new LineSplitter(maxBytes);
      expect([...whole].flatMap((byte) => byByte.push(Buffer.of(byte)))).toEqual(new LineSplitter(maxBytes).push(whole));
    }),
  );
});
