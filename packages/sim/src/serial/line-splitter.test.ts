import { expect, test } from "vitest";
import { LineSplitter } from "./line-splitter.ts";

test("CR, LF and CRLF end a line, wherever the bytes are cut", () => {
  const splitter = new LineSplitter(10);
  expect(splitter.push(Buffer.from("a\rb\nc\r"))).toEqual(["a", "b", "c"]);
  expect(splitter.push(Buffer.from("\nd"))).toEqual([]);
  expect(splitter.push(Buffer.from("e\n\n\n"))).toEqual(["de"]);
});

test("a line that is too long is dropped up to its end, the next is whole again", () => {
  const splitter = new LineSplitter(3);
  expect(splitter.push(Buffer.from("abcd"))).toEqual([]);
  expect(splitter.push(Buffer.from("efgh\nabc\n"))).toEqual([undefined, "abc"]);
});
