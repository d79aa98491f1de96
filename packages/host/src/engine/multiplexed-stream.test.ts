import { expect, test } from "vitest";
import { Demultiplexer } from "./multiplexed-stream.ts";

const frame = (kind: number, text: string) => {
  const header = Buffer.alloc(8);
  header[0] = kind;
  header.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([header, Buffer.from(text)]);
};

test("outputs come apart the same, however the bytes are cut", () => {
  const bytes = Buffer.concat([frame(1, "one"), frame(2, "bad"), frame(1, ""), frame(1, "two")]);
  for (let size = 1; size <= bytes.length; size += 1) {
    const output = { stdout: "", stderr: "" };
    const demultiplexer = new Demultiplexer((chunk, stream) => (output[stream] += chunk.toString("utf8")));
    for (let at = 0; at < bytes.length; at += size) demultiplexer.push(bytes.subarray(at, at + size));
    expect(output).toEqual({ stdout: "onetwo", stderr: "bad" });
  }
});

test("data is handed on before its frame is complete", () => {
  const chunks: string[] = [];
  new Demultiplexer((chunk) => chunks.push(chunk.toString("utf8"))).push(frame(1, "hello").subarray(0, 11));
  expect(chunks).toEqual(["hel"]);
});

test("anything else is refused", () => {
  expect(() => new Demultiplexer(() => {}).push(Buffer.from("HTTP/1.1 500"))).toThrow("not understood");
});
