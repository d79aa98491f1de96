import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ask, type FilterWorld, startFilter, startWorld } from "../testing/filter-world.ts";
import { RawClient } from "../testing/raw-client.ts";

let world: FilterWorld;
beforeAll(async () => {
  world = await startWorld("default: block\nrules:\n  - allow: POST /move\n  - allow: GET /pose\n");
});
afterAll(() => world?.[Symbol.asyncDispose]());

/** Requests in pieces: whole ones, and all that requests are made of, put together in any way. */
const piece = fc.oneof(
  fc.constantFrom(
    "POST /move HTTP/1.1\r\nHost: robot\r\nContent-Length: 2\r\n\r\n{}",
    "GET /pose HTTP/1.1\r\nHost: robot\r\n\r\n",
    "POST /move HTTP/1.1\r\nHost: robot\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "POST /reboot HTTP/1.1\r\nHost: robot\r\nContent-Length: 0\r\n\r\n",
  ),
  fc.constantFrom("POST ", "GET ", "/move", "/reboot", "/pose", " HTTP/1.1\r\n", " HTTP/1.0\r\n", "\r\n", "\n", "\r", " ", "\t"),
  fc.constantFrom(
    "Host: robot\r\n",
    "Content-Length: 2\r\n",
    "Content-Length: 40\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
  ),
  fc.constantFrom(
    "X: y\r\n",
    ": y\r\n",
    "Expect: 100-continue\r\n",
    "Upgrade: x\r\n",
    "2\r\n",
    "0\r\n\r\n",
    "ffffffffffffffff\r\n",
    "{}",
    "\0",
  ),
  fc.string({ unit: "binary", maxLength: 4 }).map((text) => Buffer.from(text).toString("latin1")),
);
const conversation = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(""));

/** Says all of it in pieces and leaves; settles with the filter's decisions when it has closed. */
async function say(bytes: string, cuts: readonly number[]): Promise<string[]> {
  const before = world.decisions.length;
  using client = new RawClient(world.filter.address);
  const places = cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b);
  for (const [index, end] of [...places, bytes.length].entries()) {
    await client.send(bytes.slice(places[index - 1] ?? 0, end));
    await nextTurn();
  }
  client.socket.end();
  await client.ended;
  return world.decisions.slice(before).map(({ decision, summary }) => `${decision} ${summary}`);
}

const ALLOWED = ["POST /move", "GET /pose"];

test("whatever comes, the device gets nothing but whole requests that are allowed", async () => {
  await fc.assert(
    fc.asyncProperty(conversation, fc.array(fc.nat(500), { maxLength: 4 }), async (bytes, cuts) => {
      for (const decision of await say(bytes, cuts)) {
        if (decision.startsWith("allow ")) expect(ALLOWED).toContain(decision.slice("allow ".length));
      }
      for (const request of world.device.requests.splice(0)) expect(request).toMatch(/^(?:POST \/move|GET \/pose) /);
      for (const { bytes } of world.device.connections.splice(0)) {
        const heads = bytes.match(/^[A-Z]+ \S+ HTTP\/1\.1\r$/gm) ?? [];
        for (const head of heads) expect(head).toMatch(/^(?:POST \/move|GET \/pose) HTTP/);
        expect(bytes === "" || /^(?:POST \/move|GET \/pose) HTTP\/1\.1\r\nHost: 127\.0\.0\.1:\d+\r\n/.test(bytes)).toBe(true);
      }
    }),
  );
  // It serves as before.
  const { answered } = ask(world.filter, "GET", "/pose");
  expect((await answered).statusCode).toBe(200);
});

test("whatever the device answers, in whatever pieces, the filter answers or closes, and goes on", async () => {
  const answerPiece = fc.oneof(
    fc.constantFrom(
      "HTTP/1.1 200 OK\r\n",
      "HTTP/1.1 100 Continue\r\n\r\n",
      "HTTP/1.1 101 Switching\r\n",
      "HTTP/1.1 204 x\r\n",
      "HTTP/1.1 099 x\r\n",
    ),
    fc.constantFrom(
      "Content-Length: 2\r\n",
      "Transfer-Encoding: chunked\r\n",
      "Connection: close\r\n",
      "Upgrade: x\r\n",
      "X: \x80\r\n",
      ": \r\n",
      "\r\n",
    ),
    fc.constantFrom("ok", "2\r\nok\r\n", "0\r\n\r\n", "\0", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    fc.string({ unit: "binary", maxLength: 4 }),
  );
  let answer: string[] = [];
  const answerOn = async (socket: Socket) => {
    for (const text of answer) {
      socket.write(Buffer.from(text, "latin1"));
      await nextTurn();
    }
    socket.end();
  };
  const device = createServer((socket: Socket) => {
    socket.on("error", () => {});
    socket.once("data", () => void answerOn(socket));
  });
  await once(device.listen(0, "127.0.0.1"), "listening");
  await using filter = await startFilter({ host: "127.0.0.1", port: (device.address() as AddressInfo).port });
  await fc.assert(
    fc.asyncProperty(fc.array(answerPiece, { maxLength: 8 }), async (pieces) => {
      answer = pieces;
      using client = new RawClient(filter.filter.address);
      await client.send("GET /pose HTTP/1.1\r\nHost: robot\r\nConnection: close\r\n\r\n");
      const heard = await client.ended;
      expect(heard === "" || /^HTTP\/1\.1 \d{3} /.test(heard)).toBe(true);
    }),
  );
  device.close();
});
