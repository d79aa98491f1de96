import { AppError } from "@hardshare/protocol";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Demultiplexer } from "./multiplexed-stream.ts";

interface Outcome {
  stdout: string;
  stderr: string;
  isRefused: boolean;
}

function demultiplex(pieces: readonly Buffer[]): Outcome {
  const got: Outcome = { stdout: "", stderr: "", isRefused: false };
  const demultiplexer = new Demultiplexer((chunk, stream) => (got[stream] += chunk.toString("latin1")));
  try {
    for (const piece of pieces) demultiplexer.push(piece);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    got.isRefused = true;
  }
  return got;
}

function frame(kind: number, data: Uint8Array): Buffer {
  const header = Buffer.alloc(8);
  header[0] = kind;
  header.writeUInt32BE(data.length, 4);
  return Buffer.concat([header, data]);
}

const data = fc.uint8Array({ maxLength: 40 });
const frames = fc.array(fc.record({ kind: fc.nat(3), data }), { maxLength: 8 });
const stream = fc.oneof(
  frames.map((all) => Buffer.concat(all.map(({ kind, data }) => frame(kind, data)))),
  fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
);

test("any bytes give the same output, or the same refusal, wherever they are cut", () => {
  fc.assert(
    fc.property(stream, (bytes) => {
      expect(demultiplex([...bytes].map((byte) => Buffer.of(byte)))).toEqual(demultiplex([bytes]));
    }),
  );
});

test("both outputs come out as they went in", () => {
  fc.assert(
    fc.property(fc.array(fc.record({ kind: fc.constantFrom(1, 2), data }), { maxLength: 8 }), (all) => {
      const sent = (kind: number) => Buffer.concat(all.filter((one) => one.kind === kind).map((one) => one.data)).toString("latin1");
      const got = demultiplex(all.map((one) => frame(one.kind, one.data)));
      expect(got).toEqual({ stdout: sent(1), stderr: sent(2), isRefused: false });
    }),
  );
});
