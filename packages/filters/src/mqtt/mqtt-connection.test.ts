import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { Deferred, ManualClock, systemClock } from "@hardshare/runtime";
import { expect, test } from "vitest";
import type { Judgement } from "../run/filter-kind.ts";
import { startFilterBefore } from "../testing/mqtt-filter.ts";
import { PacketFramer } from "./packet-framer.ts";
import type { ConnectPacket, Packet, Version } from "./packets.ts";
import { readPacket } from "./read-packet.ts";
import { writePacket } from "./write-packet.ts";

const CONNECT: ConnectPacket = {
  cmd: "connect",
  version: 5,
  cleanStart: false,
  keepAliveSeconds: 10,
  properties: { sessionExpiryInterval: 1000, maximumPacketSize: 10_000, topicAliasMaximum: 9, userProperties: [["a", "b"]] },
  clientId: "mine",
  username: "eve",
  password: Buffer.from("guess"),
  will: { topic: "gone", payload: Buffer.from("x"), qos: 0, retain: false, properties: { willDelayInterval: 100 } },
};
const CONNACK: Packet = { cmd: "connack", sessionPresent: false, code: 0, properties: {} };
const publish = (topic: string, payload: string | Buffer = ""): Packet => ({
  cmd: "publish",
  topic,
  payload: Buffer.from(payload),
  qos: 0,
  retain: false,
  dup: false,
  id: 0,
  properties: {},
});

/** Packets as they come out of a stream, one after the other. */
class Packets {
  readonly all: Packet[] = [];
  #framer = new PacketFramer(() => 10_000_000);
  #came = new Deferred();

  constructor(socket: Socket, version: Version = 5) {
    socket.on("error", () => {});
    socket.on("data", (bytes: Buffer) => {
      this.#framer.push(bytes);
      for (let frame = this.#framer.next(); frame !== undefined; frame = this.#framer.next()) this.all.push(readPacket(frame, version));
      this.#came.resolve();
      this.#came = new Deferred();
    });
  }

  /** The next packets, when so many have come. */
  async take(count: number): Promise<Packet[]> {
    while (this.all.length < count) await this.#came.promise;
    return this.all.splice(0, count);
  }
}

/** A filter before a broker that does what the test does. */
async function startWorld({
  rules = "default: allow",
  clock = systemClock,
}: { rules?: string; clock?: ManualClock | typeof systemClock } = {}) {
  const dialled = new Deferred<Socket>();
  const broker = createServer((socket) => dialled.resolve(socket)).listen(0, "127.0.0.1");
  await once(broker, "listening");
  const decisions: Judgement[] = [];
  const onDecision = (judgement: Judgement) => void decisions.push(judgement);
  const credentials = { username: "owner", password: Buffer.from("secret") };
  const filter = await startFilterBefore(broker, { rules, credentials, onDecision, clock });
  const socket = connect(Number(filter.address.split(":").at(-1)), "127.0.0.1");
  await once(socket, "connect");
  return {
    decisions,
    socket,
    /** What the client hears. */
    heard: new Packets(socket),
    /** The filter at the broker. */
    async atBroker() {
      const link = await dialled.promise;
      return { link, reached: new Packets(link) };
    },
    send: (...packets: Packet[]) => socket.write(Buffer.concat(packets.map((packet) => writePacket(packet, 5)))),
    async [Symbol.asyncDispose]() {
      socket.destroy();
      await filter[Symbol.asyncDispose]();
      broker.close();
      (await Promise.race([dialled.promise, Promise.resolve(undefined)]))?.destroy();
    },
  };
}

test("the broker gets a CONNECT of the filter's own, and nothing of the client before it let the filter in", async () => {
  await using world = await startWorld();
  world.send(CONNECT, publish("a", "1"), { cmd: "disconnect", reasonCode: 0, properties: { sessionExpiryInterval: 5 } });
  const { link, reached } = await world.atBroker();
  expect(await reached.take(1)).toEqual([
    {
      cmd: "connect",
      version: 5,
      cleanStart: true,
      keepAliveSeconds: 60,
      properties: { maximumPacketSize: 10_000 },
      clientId: expect.stringMatching(/^hardshare[0-9a-f]{14}$/),
      username: "owner",
      password: Buffer.from("secret"),
      will: undefined,
    },
  ]);
  expect(reached.all).toEqual([]);
  expect(world.heard.all).toEqual([]);
  link.write(writePacket(CONNACK, 5));
  expect(await reached.take(2)).toEqual([publish("a", "1"), { cmd: "disconnect", reasonCode: 0, properties: {} }]);
  expect(await world.heard.take(1)).toEqual([
    {
      cmd: "connack",
      sessionPresent: false,
      code: 0,
      properties: { sessionExpiryInterval: 0, maximumPacketSize: 1024 ** 2, topicAliasMaximum: 32 },
    },
  ]);
});

test("packets pass whole, however the bytes of client and broker are cut", async () => {
  await using world = await startWorld();
  const stream = Buffer.concat([CONNECT, publish("a", "1"), publish("b", "2")].map((packet) => writePacket(packet, 5)));
  world.socket.setNoDelay(true);
  for (const byte of stream) await new Promise((resolve) => world.socket.write(Buffer.from([byte]), resolve));
  const { link, reached } = await world.atBroker();
  await reached.take(1);
  link.setNoDelay(true);
  for (const byte of Buffer.concat([writePacket(CONNACK, 5), writePacket(publish("c", "3"), 5)])) {
    await new Promise((resolve) => link.write(Buffer.from([byte]), resolve));
  }
  expect(await reached.take(2)).toEqual([publish("a", "1"), publish("b", "2")]);
  expect((await world.heard.take(2))[1]).toEqual(publish("c", "3"));
});

test("a client that is silent for longer than it said is cut, and its will is sent", async () => {
  const clock = new ManualClock();
  await using world = await startWorld({ clock });
  world.send(CONNECT);
  const { link, reached } = await world.atBroker();
  await reached.take(1);
  link.write(writePacket(CONNACK, 5));
  await world.heard.take(1);
  clock.advance(14_999);
  world.send({ cmd: "pingreq" });
  expect(await world.heard.take(1)).toEqual([{ cmd: "pingresp" }]);
  clock.advance(14_999);
  expect(world.heard.all).toEqual([]);
  clock.advance(1);
  expect(await world.heard.take(1)).toMatchObject([{ cmd: "disconnect", reasonCode: 0x8d }]);
  expect(await reached.take(2)).toEqual([publish("gone", "x"), { cmd: "disconnect", reasonCode: 0, properties: {} }]);
});

test("a connection that is reset, as the host's are when it cuts them, is cut at both ends: no will, and nothing that still waits", async () => {
  await using world = await startWorld();
  world.send(CONNECT);
  const { link, reached } = await world.atBroker();
  await reached.take(1);
  link.write(writePacket(CONNACK, 5));
  await world.heard.take(1);
  const over = new Promise((resolve) => link.once("error", resolve).once("end", () => resolve("left")));
  world.socket.resetAndDestroy();
  expect(await over).toMatchObject({ code: "ECONNRESET" });
  expect(reached.all).toEqual([]);
});

test("only what is published is a sign of the user: a program connects and subscribes by itself, and a will is sent when it is lost", async () => {
  await using world = await startWorld();
  const subscription = { filter: "a", qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
  world.send(CONNECT, { cmd: "subscribe", id: 1, properties: {}, subscriptions: [subscription] }, publish("a", "1"));
  const { link, reached } = await world.atBroker();
  await reached.take(1);
  link.write(writePacket(CONNACK, 5));
  await reached.take(2);
  world.socket.write(Buffer.from([0xff]));
  expect((await reached.take(1))[0]).toEqual(publish("gone", "x"));
  expect(world.decisions.map(({ rule, summary, isSign = true }) => `${isSign ? "sign" : "no sign"}: ${rule}, ${summary}`)).toEqual([
    "no sign: default, connect, version 5, will gone x",
    "no sign: default, subscribe a",
    "sign: default, publish a 1",
    "no sign: strict, a packet that is not right",
    "no sign: default, will gone x",
  ]);
});

test("a will whose refusal has a long reason is refused, and the filter goes on", async () => {
  await using world = await startWorld({
    rules: "rules: [{ allow: publish gone, payload: { type: object, additionalProperties: { type: number } } }]",
  });
  const payload = Buffer.from(JSON.stringify({ ["~".repeat(60_000)]: "x" }));
  world.send({ ...CONNECT, will: { topic: "gone", payload, qos: 0, retain: false, properties: {} } });
  const [connack] = await world.heard.take(1);
  expect(connack).toMatchObject({ cmd: "connack", code: 0x87 });
  expect(JSON.stringify(connack).length).toBeLessThan(4000);
});

test("clients that left count until the broker took their last words, so that what waits for it is bounded", async () => {
  const clock = new ManualClock();
  const links: Socket[] = [];
  const broker = createServer({ allowHalfOpen: true }, (link) => {
    links.push(link.on("error", () => {}));
    link.once("data", () => link.write(writePacket(CONNACK, 5))); // never ends
  }).listen(0, "127.0.0.1");
  await once(broker, "listening");
  await using filter = await startFilterBefore(broker, { clock });
  /** @returns whether it was let in */
  const visit = async () => {
    const socket = connect(Number(filter.address.split(":").at(-1)), "127.0.0.1").on("error", () => {});
    const heard = new Packets(socket);
    socket.end(Buffer.concat([CONNECT, { cmd: "disconnect", reasonCode: 0, properties: {} } as const].map((each) => writePacket(each, 5))));
    await once(socket, "close");
    return heard.all.length > 0;
  };
  for (let number = 0; number < 64; number += 1) expect(await visit()).toBe(true);
  expect(await visit()).toBe(false);
  const [link] = links;
  if (link === undefined) throw new Error("the broker was not reached");
  const cut = once(link, "close");
  clock.advance(10_000);
  links[0]?.end();
  await cut;
  expect(await visit()).toBe(true);
  for (const link of links) link.destroy();
  broker.close();
});

test("a client that sends no CONNECT in time is cut", async () => {
  const clock = new ManualClock();
  await using world = await startWorld({ clock });
  world.socket.write(writePacket(CONNECT, 5).subarray(0, 5));
  const closed = once(world.socket, "close");
  clock.advance(10_000);
  await closed;
  expect(world.heard.all).toEqual([]);
});

test("a broker that does not answer in time, or refuses the filter, is told as unavailable", async () => {
  const clock = new ManualClock();
  await using silent = await startWorld({ clock });
  silent.send(CONNECT);
  await silent.atBroker();
  clock.advance(10_000);
  expect(await silent.heard.take(1)).toMatchObject([
    { cmd: "connack", code: 0x88, properties: { reasonString: "the broker does not answer" } },
  ]);
  await using refusing = await startWorld();
  refusing.send(CONNECT);
  const { link } = await refusing.atBroker();
  link.write(writePacket({ cmd: "connack", sessionPresent: false, code: 0x86, properties: { reasonString: "secret words" } }, 5));
  const [connack] = await refusing.heard.take(1);
  expect(connack).toMatchObject({ code: 0x88, properties: { reasonString: "the broker refused the filter with the code 134" } });
});

test("who sends a packet that is too long, or none at all, is cut at its first bytes", async () => {
  await using world = await startWorld({ rules: "default: allow\npacket_limit: 200" });
  world.send(CONNECT);
  const { link, reached } = await world.atBroker();
  await reached.take(1);
  link.write(writePacket(CONNACK, 5));
  await world.heard.take(1);
  world.socket.write(writePacket(publish("a", "x".repeat(1000)), 5).subarray(0, 3));
  expect(await world.heard.take(1)).toMatchObject([{ cmd: "disconnect", reasonCode: 0x95 }]);
  expect(world.decisions.at(-2)).toMatchObject({ rule: "strict", decision: "block" });
  await using other = await startWorld();
  const closed = once(other.socket, "close");
  other.socket.write("GET / HTTP/1.1\r\n\r\n");
  await closed;
  expect(other.decisions).toMatchObject([{ rule: "strict", decision: "block" }]);
});

test("a broker that takes nothing holds up the client: what waits in between is bounded", async () => {
  await using world = await startWorld();
  world.send({ ...CONNECT, keepAliveSeconds: 0 });
  const { link, reached } = await world.atBroker();
  await reached.take(1);
  link.write(writePacket(CONNACK, 5));
  await world.heard.take(1);
  link.pause();
  const [packet, count] = [writePacket(publish("a", Buffer.alloc(64 * 1024)), 5), 1024];
  const sent = (async () => {
    for (let number = 0; number < count; number += 1) await new Promise((resolve) => world.socket.write(packet, resolve));
  })();
  let most = 0;
  let before = -1;
  // The broker takes a piece only when the filter has judged nothing for a turn of the event loop.
  for (let taken = 0; taken < count; taken += reached.all.splice(0).length) {
    most = Math.max(most, world.decisions.length - taken);
    if (world.decisions.length === before) {
      link.resume();
      await once(link, "data");
      link.pause();
    }
    before = world.decisions.length;
    await new Promise((resolve) => setImmediate(resolve));
  }
  await sent;
  expect(most * packet.length).toBeLessThan(16 * 1024 ** 2);
});
