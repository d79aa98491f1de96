import { SerialFilterRules } from "@hardshare/protocol";
import { expect, test } from "vitest";
import { SerialFramer, type SerialPiece } from "./framer.ts";

function cut(messages: object, ...chunks: string[]): string[] {
  const framer = new SerialFramer(SerialFilterRules.parse({ messages }).messages);
  const pieces: string[] = [];
  for (const chunk of chunks) {
    framer.push(Buffer.from(chunk, "latin1"));
    for (let piece = framer.next(); piece !== undefined; piece = framer.next()) pieces.push(describe(piece));
  }
  return pieces;
}

/** As if each byte came alone. */
const bytesOf = (text: string) => text.split("");

function describe(piece: SerialPiece): string {
  if (piece.kind === "message") return piece.text + piece.end;
  return piece.kind === "realtime" ? `<${piece.text}>` : piece.kind === "line feed" ? "+\n" : `${piece.text}…`;
}

test.each([
  ["LF", "a\nb\n", ["a\n", "b\n"]],
  ["CR", "a\rb\r", ["a\r", "b\r"]],
  ["CRLF", "a\r\nb\r\n", ["a\r", "+\n", "b\r", "+\n"]],
  ["a mixture of them", "a\n\rb\r\n\n", ["a\n", "\r", "b\r", "+\n", "\n"]],
])("a line is ended by %s", (_name, text, expected) => {
  expect(cut({}, text)).toEqual(expected);
  expect(cut({}, ...bytesOf(text))).toEqual(expected);
});

test("bytes that are no text, and NUL, are bytes like others", () => {
  const text = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)).filter((character) => !"\r\n".includes(character));
  expect(cut({}, `${text.join("")}\n`)).toEqual([`${text.join("")}\n`]);
});

test("a real-time byte is a message of its own anywhere, at once, and no part of the line that it stands in", () => {
  const framing = { realtime: ["!", "?", 0x18] };
  expect(cut(framing, "G0?", " X1\x18")).toEqual(["<?>", "<\x18>"]);
  expect(cut(framing, "G0?", " X!1\n")).toEqual(["<?>", "<!>", "G0 X1\n"]);
  expect(cut({ ...framing, limit: 2 }, "abcd!ef\nok\n")).toEqual(["ab…", "<!>", "ok\n"]);
  expect(cut(framing, "a\r!\nb\n")).toEqual(["a\r", "<!>", "+\n", "b\n"]);
});

test("a line of just the limit is a message; of a longer one nothing is left, up to its end", () => {
  expect(cut({ limit: 4 }, "1234\n")).toEqual(["1234\n"]);
  expect(cut({ limit: 4 }, "12345678\nok\n")).toEqual(["1234…", "ok\n"]);
  expect(cut({ limit: 4 }, "12345\r\nok\r\n")).toEqual(["1234…", "+\n", "ok\r", "+\n"]);
});

test.each([
  ["one byte", [";"], "a;b\n;", ["a;", "b\n;"]],
  ["several bytes", ["a", "a", "b"], "xaaabyaab", ["xaaab", "yaab"]],
])("a delimiter of %s ends a message, at whatever place the stream is cut", (_name, end, text, expected) => {
  expect(cut({ end }, text)).toEqual(expected);
  expect(cut({ end }, ...bytesOf(text))).toEqual(expected);
});

test("of a message that is too long, the end is found also where it overlaps with the limit", () => {
  for (const length of [4, 5, 6, 7, 40]) {
    expect(cut({ end: ["-", ">"], limit: 3 }, `${"x".repeat(length)}->ok->`).map((piece) => piece.slice(0, 3))).toEqual(["xxx", "ok-"]);
    expect(cut({ end: ["-", ">"], limit: 3 }, ...bytesOf(`${"x".repeat(length)}->ok->`))).toHaveLength(2);
  }
  expect(cut({ end: ["-", ">"], limit: 3 }, "xxx->ok->")).toEqual(["xxx->", "ok->"]);
});

test("messages of a length are cut by it alone", () => {
  expect(cut({ length: 3 }, "a\nbcd", "ef", "g")).toEqual(["a\nb", "cde"]);
});
