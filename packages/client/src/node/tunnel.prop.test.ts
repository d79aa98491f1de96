import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { AppError } from "@hardshare/protocol";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocketServer } from "ws";
import { openTunnel } from "./index.ts";

/** What the server writes into the tunnel, in pieces, once it stands. */
let pieces: Buffer[];
let url: string;
let end: () => void;
beforeAll(async () => {
  const sockets = new WebSocketServer({ noServer: true });
  const server = createServer().on("upgrade", (request, connection, head) => {
    sockets.handleUpgrade(request, connection, head, (socket) => {
      socket.on("error", () => {});
      void writePieces(connection as Socket);
    });
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  end = () => {
    server.closeAllConnections();
    server.close();
  };
});
afterAll(() => end());

async function writePieces(connection: Socket): Promise<void> {
  for (const piece of pieces) {
    connection.write(piece);
    await nextTurn();
  }
  connection.end();
}

async function readTunnel(): Promise<{ bytes: Buffer; error: unknown }> {
  const tunnel = await openTunnel({ url, token: "good", instanceId: "01234567-89ab-4cde-8f01-23456789abcd" });
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of tunnel as AsyncIterable<Buffer>) chunks.push(chunk);
    return { bytes: Buffer.concat(chunks), error: undefined };
  } catch (error) {
    return { bytes: Buffer.concat(chunks), error };
  } finally {
    tunnel.destroy();
  }
}

/** A frame of a server (RFC 6455, section 5.2). */
function frame(opcode: number, payload: Uint8Array): Buffer {
  const length = payload.length < 126 ? Buffer.of(payload.length) : Buffer.of(126, payload.length >> 8, payload.length & 255);
  return Buffer.concat([Buffer.of(0x80 | opcode), length, payload]);
}

function cutAt(whole: Buffer, cuts: readonly number[]): Buffer[] {
  const places = cuts.map((cut) => cut % (whole.length + 1)).toSorted((a, b) => a - b);
  return [...places, whole.length].map((until, index) => whole.subarray(places[index - 1] ?? 0, until));
}

test("bytes come out as they went in, wherever the frames are cut", async () => {
  const payload = fc.uint8Array({ minLength: 1, maxLength: 300 });
  await fc.assert(
    fc.asyncProperty(fc.array(payload, { maxLength: 6 }), fc.array(fc.nat(2000), { maxLength: 5 }), async (payloads, cuts) => {
      const close = frame(8, Buffer.of(1000 >> 8, 1000 & 255));
      pieces = cutAt(Buffer.concat([...payloads.map((bytes) => frame(2, bytes)), frame(2, Buffer.alloc(0)), close]), cuts);
      const { bytes, error } = await readTunnel();
      expect(error).toBeUndefined();
      expect(bytes.equals(Buffer.concat(payloads))).toBe(true);
    }),
  );
});

test("whatever the server sends, the stream ends, or fails with what happened", async () => {
  const length = fc.oneof(fc.nat(127), fc.nat(255)).map((size) => Buffer.of(size));
  const odd = fc
    .tuple(fc.nat(255), length, fc.uint8Array({ maxLength: 140 }))
    .map(([head, size, rest]) => Buffer.concat([Buffer.of(head), size, rest]));
  const good = fc.tuple(fc.constantFrom(1, 2, 8, 9, 10), fc.uint8Array({ maxLength: 100 })).map(([opcode, bytes]) => frame(opcode, bytes));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(odd, good), { maxLength: 6 }), async (frames) => {
      pieces = frames;
      const { error } = await readTunnel();
      if (error !== undefined) expect(error).toBeInstanceOf(AppError);
    }),
  );
});
