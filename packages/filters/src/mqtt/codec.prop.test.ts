import fc from "fast-check";
import mqttPacket, { type Packet as OtherPacket } from "mqtt-packet";
import { expect, test } from "vitest";
import { Malformed } from "./malformed.ts";
import { PacketFramer } from "./packet-framer.ts";
import type { Packet, Version } from "./packets.ts";
import { readPacket } from "./read-packet.ts";
import { writePacket } from "./write-packet.ts";

const text = fc.string({ minLength: 1, maxLength: 8 }).map((each) => each.replaceAll(/[+#\p{Cc}]/gu, "x"));
const bytes = fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each));
const qos = fc.constantFrom(0 as const, 1 as const, 2 as const);
const id = fc.integer({ min: 1, max: 0xffff });
const userProperties = fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 3 });
const ofMessages = fc.record(
  {
    messageExpiryInterval: fc.nat(0xffffffff),
    contentType: text,
    responseTopic: text,
    correlationData: bytes,
    userProperties,
  },
  { requiredKeys: [] },
);
const message = fc.record({ topic: text, payload: bytes, qos, retain: fc.boolean(), properties: ofMessages });
const reason = fc.record({ reasonString: text, userProperties }, { requiredKeys: [] });
const subscription = fc.record({
  filter: text,
  qos,
  noLocal: fc.boolean(),
  retainAsPublished: fc.boolean(),
  retainHandling: fc.nat(2),
});

const packet: fc.Arbitrary<Packet> = fc.oneof(
  fc.record({
    cmd: fc.constant("connect" as const),
    version: fc.constant(5 as const),
    cleanStart: fc.boolean(),
    keepAliveSeconds: fc.nat(0xffff),
    properties: fc.record(
      { sessionExpiryInterval: fc.nat(), receiveMaximum: id, requestProblemInformation: fc.nat(1), userProperties },
      { requiredKeys: [] },
    ),
    clientId: text,
    will: fc.option(message, { nil: undefined }),
    username: fc.option(text, { nil: undefined }),
    password: fc.constant(undefined),
  }),
  message.chain((said) =>
    id.map((number) => ({ cmd: "publish" as const, ...said, dup: said.qos > 0 && said.retain, id: said.qos === 0 ? 0 : number })),
  ),
  fc.record({ cmd: fc.constantFrom("puback" as const, "pubrec" as const), id, reasonCode: fc.constantFrom(0, 0x87), properties: reason }),
  fc.record({ cmd: fc.constantFrom("pubrel" as const, "pubcomp" as const), id, reasonCode: fc.constantFrom(0, 0x92), properties: reason }),
  fc.record({
    cmd: fc.constant("subscribe" as const),
    id,
    properties: fc.record({ userProperties }, { requiredKeys: [] }),
    subscriptions: fc.array(subscription, { minLength: 1, maxLength: 3 }),
  }),
  fc.record({
    cmd: fc.constant("unsubscribe" as const),
    id,
    properties: fc.constant({}),
    filters: fc.array(text, { minLength: 1, maxLength: 3 }),
  }),
  fc.record({
    cmd: fc.constant("suback" as const),
    id,
    properties: reason,
    codes: fc.array(fc.constantFrom(0, 1, 2, 0x87), { minLength: 1 }),
  }),
  fc.record({ cmd: fc.constant("disconnect" as const), reasonCode: fc.constantFrom(0, 0x82), properties: reason }),
  fc.constantFrom({ cmd: "pingreq" as const }, { cmd: "pingresp" as const }),
);

function readAll(stream: Buffer, cuts: readonly number[] = []): Packet[] {
  const framer = new PacketFramer(() => 10_000);
  const packets: Packet[] = [];
  const places = [...cuts.map((cut) => cut % (stream.length + 1)), 0, stream.length].toSorted((a, b) => a - b);
  for (const [index, place] of places.entries()) {
    framer.push(stream.subarray(places[index - 1] ?? 0, place));
    for (let frame = framer.next(); frame !== undefined; frame = framer.next()) packets.push(readPacket(frame, 5));
  }
  return packets;
}

test("what is written is read again as it was, wherever the stream is cut", () => {
  fc.assert(
    fc.property(fc.array(packet, { minLength: 1, maxLength: 4 }), fc.array(fc.nat(), { maxLength: 20 }), (packets, cuts) => {
      const stream = Buffer.concat(packets.map((each) => writePacket(each, 5)));
      expect(readAll(stream, cuts)).toEqual(packets);
      expect(readAll(stream, [...stream.keys()])).toEqual(packets); // every byte alone
    }),
  );
});

/** What another library reads. */
function readByOther(stream: Buffer, version: Version): OtherPacket | undefined {
  const parser = mqttPacket.parser({ protocolVersion: version });
  let read: OtherPacket | undefined;
  parser.on("packet", (each) => (read = each)).on("error", () => {});
  parser.parse(stream);
  return read;
}

test("another library reads what is written as it was meant, and writes what is read alike", () => {
  fc.assert(
    fc.property(packet, (written) => {
      const stream = writePacket(written, 5);
      const other = readByOther(stream, 5);
      expect(other?.cmd).toBe(written.cmd);
      if (written.cmd === "publish") {
        expect(other).toMatchObject({ topic: written.topic, qos: written.qos, retain: written.retain, dup: written.dup });
        expect((other as { payload: Buffer }).payload.equals(written.payload)).toBe(true);
      }
      if (written.cmd === "connect") expect(other).toMatchObject({ clientId: written.clientId, clean: written.cleanStart });
      if (written.cmd === "subscribe") {
        expect((other as { subscriptions: { topic: string }[] }).subscriptions.map(({ topic }) => topic)).toEqual(
          written.subscriptions.map(({ filter }) => filter),
        );
      }
      // Properties come in another order from there, and user properties by their names.
      if (other !== undefined)
        expect(readAll(mqttPacket.generate(other, { protocolVersion: 5 })).map(({ cmd }) => cmd)).toEqual([written.cmd]);
    }),
  );
});

test("of any bytes either nothing is read, or what is written the same again but for what the standard leaves open", () => {
  const mutated = fc.tuple(packet, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 })).map(([each, changes]) => {
    const stream = writePacket(each, 5);
    for (const [place, byte] of changes) stream[place % stream.length] = byte;
    return stream;
  });
  let read = 0;
  fc.assert(
    fc.property(fc.oneof(mutated, bytes), (stream) => {
      let packets: Packet[];
      try {
        packets = readAll(stream);
      } catch (error) {
        expect(error).toBeInstanceOf(Malformed);
        return;
      }
      for (const each of packets) {
        read += 1;
        expect(readAll(writePacket(each, 5))).toEqual([each]);
      }
    }),
    { numRuns: 5 * (fc.readConfigureGlobal().numRuns ?? 100) },
  );
  expect(read).toBeGreaterThan(10);
});

test("a packet with more topic filters than can be judged in a turn is refused", () => {
  const subscription = { filter: "a", qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
  const read = (count: number) => {
    const framer = new PacketFramer(() => 1024 ** 2);
    framer.push(
      writePacket({ cmd: "subscribe", id: 1, properties: {}, subscriptions: Array.from({ length: count }, () => subscription) }, 5),
    );
    return readPacket(framer.next()!, 5);
  };
  expect(read(1000)).toMatchObject({ cmd: "subscribe" });
  expect(() => read(1001)).toThrow("1000 topic filters at most");
});
