import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { AppError } from "@hardshare/protocol";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ApiConnection } from "./api-connection.ts";

let folder: string;
let engine: Server;
let connection: ApiConnection;
/** What the engine answers, in pieces. */
let reply: Buffer[] = [];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "engine-prop-"));
  const socketPath = join(folder, "engine.sock");
  engine = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => void answer(socket));
  });
  await once(engine.listen(socketPath), "listening");
  connection = new ApiConnection({ socketPath, ready: async () => {}, async [Symbol.asyncDispose]() {} });
});
afterAll(async () => {
  await connection?.[Symbol.asyncDispose]();
  engine?.close();
  await rm(folder, { recursive: true, force: true });
});

async function answer(socket: Socket): Promise<void> {
  for (const piece of reply) {
    socket.write(piece);
    await nextTurn();
  }
  socket.end();
}

const asked = { method: "GET", path: "/x", doing: "list the containers" } as const;

function cutAt(whole: Buffer, cuts: readonly number[]): Buffer[] {
  const places = cuts.map((cut) => cut % (whole.length + 1)).toSorted((a, b) => a - b);
  return [...places, whole.length].map((end, index) => whole.subarray(places[index - 1] ?? 0, end));
}

test("a reply is the same in chunks or with a length, wherever it is cut", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 5 }),
      fc.boolean(),
      fc.array(fc.nat(400), { maxLength: 6 }),
      async (parts, isChunked, cuts) => {
        const body = Buffer.concat(parts);
        const chunks = Buffer.concat([
          ...parts.flatMap((part) => [Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from("\r\n")]),
          Buffer.from("0\r\n\r\n"),
        ]);
        const framing = isChunked ? "Transfer-Encoding: chunked" : `Content-Length: ${body.length}`;
        reply = cutAt(
          Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nConnection: close\r\n${framing}\r\n\r\n`), isChunked ? chunks : body]),
          cuts,
        );
        expect((await connection.call(asked)).body.equals(body)).toBe(true);
      },
    ),
  );
});

test("whatever an engine answers, the call ends with its reply or with an error that says what could not be done", async () => {
  const piece = fc.oneof(
    fc.constantFrom(
      "HTTP/1.1 200 OK\r\n",
      "HTTP/1.1 404 x\r\n",
      "HTTP/1.1 500 x\r\n",
      "HTTP/1.1 101 x\r\n",
      "HTTP/1.1 100 Continue\r\n\r\n",
      "Upgrade: tcp\r\n",
    ),
    fc.constantFrom(
      "Content-Length: 2\r\n",
      "Transfer-Encoding: chunked\r\n",
      "Connection: close\r\n",
      "Connection: Upgrade\r\n",
      "\r\n",
      "2\r\n[]\r\n",
      "0\r\n\r\n",
      "[]",
      '{"message":1}',
    ),
    fc.string({ unit: "binary", maxLength: 5 }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 8 }), async (pieces) => {
      reply = pieces.map((text) => Buffer.from(text));
      try {
        await connection.callForJson(asked, { timeoutMs: 5000 });
      } catch (error) {
        expect(error).toBeInstanceOf(AppError);
        expect((error as AppError).message).toContain("list the containers");
        expect((error as AppError).code).not.toBe("timed_out");
      }
    }),
  );
});
