import { createSocket, type Socket as Datagrams } from "node:dgram";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock, systemRandom } from "@hardshare/runtime";
import { type Answer, decode, encode, type Packet, streamEncode } from "dns-packet";
import { afterEach, beforeEach, expect, test } from "vitest";
import { MessageReader, writeMessage } from "./message-stream.ts";
import { NameService } from "./name-service.ts";

/** Answers of the resolver, by name; too long for a datagram when they are many. */
const ZONE: Record<string, string[]> = {
  "public.example": ["8.8.8.8"],
  "private.example": ["10.0.0.1"],
  "many.example": Array.from({ length: 200 }, (_, index) => `8.8.8.${index}`),
};

/** A name of as many labels as there can be, and an answer whose records refer to it (RFC 1035 section 4.1.4). */
const LONG_NAME = `${"a.".repeat(120)}example`;
const A_POINTER = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 8, 8, 8, 8]);
const COMPRESSED = 250;
const A_RECORD: Answer = { type: "A", name: "public.example", data: "8.8.8.8" };

let folder: string;
let datagrams: Datagrams;
let streams: Server;
let service: NameService;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hs-names-"));
  const answer = (message: Buffer): Packet => {
    const { id = 0, questions = [] } = decode(message);
    const name = questions[0]?.name ?? "";
    const answers = (ZONE[name] ?? []).map((data): Answer => ({ type: "A", name, data }));
    return { type: "response", id, questions, answers, flags: ZONE[name] === undefined ? 3 : 0 };
  };
  const reply = (message: Buffer) => {
    const packet = answer(message);
    if (packet.questions?.[0]?.name !== LONG_NAME) return streamEncode(packet);
    const whole = Buffer.concat([encode(packet), ...Array.from({ length: COMPRESSED }, () => A_POINTER)]);
    whole.writeUInt16BE(COMPRESSED, 6);
    return Buffer.concat([Buffer.from([whole.length >> 8, whole.length & 255]), whole]);
  };
  streams = createServer((socket) => {
    socket.on("error", () => {}).once("data", (chunk) => socket.end(reply(chunk.subarray(2))));
  });
  const port = await listenAtOnePort();
  datagrams.on("message", (message, { port }) => {
    const packet = answer(message);
    const whole = encode(packet);
    const isWhole = whole.length <= 1232 && packet.questions?.[0]?.name !== LONG_NAME;
    datagrams.send(isWhole ? whole : encode({ ...packet, answers: [], flags: 1 << 9 }), port, "127.0.0.1");
  });
  service = await NameService.listen({
    streamSocket: join(folder, "s"),
    datagramSocket: join(folder, "d"),
    isJudged: true,
    clock: systemClock,
    random: systemRandom,
    servers: () => [`127.0.0.1:${port}`],
  });
});
/** Streams and datagrams at the same port, as resolvers are: one that is free for both. */
async function listenAtOnePort(): Promise<number> {
  for (;;) {
    datagrams = createSocket("udp4");
    datagrams.bind(0, "127.0.0.1");
    await once(datagrams, "listening");
    const { port } = datagrams.address();
    try {
      await once(streams.listen(port, "127.0.0.1"), "listening");
      return port;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
      datagrams.close();
    }
  }
}

afterEach(async () => {
  await service[Symbol.asyncDispose]();
  datagrams.close();
  streams.close();
  await rm(folder, { recursive: true, force: true });
});

/** Asks as the relay does. @returns undefined when the connection is closed without an answer */
async function ask(socket: "s" | "d", message: Buffer): Promise<ReturnType<typeof decode> | undefined> {
  const connection = connect(join(folder, socket));
  try {
    return await new Promise((resolve, reject) => {
      const reader = new MessageReader((answer) => resolve(decode(answer)));
      connection.on("data", (chunk: Buffer) => reader.push(chunk));
      connection.once("close", () => resolve(undefined));
      connection.once("error", reject);
      writeMessage(connection, message);
    });
  } finally {
    connection.destroy();
  }
}
const question = (name: string) => encode({ type: "query", id: 5, flags: 256, questions: [{ type: "A", name }] });
const addresses = (packet: ReturnType<typeof decode> | undefined) => packet?.answers?.map((record) => "data" in record && record.data);

test("questions are answered as the resolver answers them, without private addresses", async () => {
  for (const socket of ["s", "d"] as const) {
    expect(addresses(await ask(socket, question("public.example")))).toEqual(["8.8.8.8"]);
    expect(addresses(await ask(socket, question("private.example")))).toEqual([]);
    expect(await ask(socket, question("none.example"))).toMatchObject({ id: 5, rcode: "NXDOMAIN" });
  }
});

test("a long answer is fetched whole, and told by datagram that it is long", async () => {
  expect(addresses(await ask("s", question("many.example")))).toHaveLength(200);
  expect(await ask("d", question("many.example"))).toMatchObject({ flag_tc: true, answers: [] });
});

test("what is no question ends the connection", async () => {
  expect(await ask("d", encode({ type: "response", id: 5, questions: [] }))).toBeUndefined();
});

test("an answer that is longer than any message once its names are written out is a failure, and ends nothing", async () => {
  expect(await ask("s", question(LONG_NAME))).toMatchObject({ id: 5, rcode: "SERVFAIL", answers: [] });
  expect(addresses(await ask("s", question("public.example")))).toEqual(["8.8.8.8"]);
});

test("a question that is longer than any program writes one ends its connection and nothing else", async () => {
  const long = encode({ ...decode(question("public.example")), additionals: Array.from({ length: 100 }, () => A_RECORD) });
  expect(await ask("s", long)).toBeUndefined();
  expect(await ask("d", long)).toBeUndefined();
  expect(addresses(await ask("s", question("public.example")))).toEqual(["8.8.8.8"]);
});

test("who asks too much is not answered, and later again", async () => {
  const connection = connect(join(folder, "s"));
  connection.on("error", () => {});
  for (let index = 0; index < 300; index += 1) writeMessage(connection, question("public.example"));
  connection.resume();
  await once(connection, "close");
  expect(addresses(await ask("s", question("public.example")))).toEqual(["8.8.8.8"]);
});
