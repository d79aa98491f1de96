import fc from "fast-check";
import mqttPacket, { type IPublishPacket, type Packet as OtherPacket } from "mqtt-packet";
import { expect, test } from "vitest";
import { fixedRules } from "../rules/live-rules.ts";
import { parseMqttRules } from "../rules/mqtt-rules.ts";
import { makeLimits } from "../testing/filter-world.ts";
import { Malformed } from "./malformed.ts";
import { MqttSession } from "./mqtt-session.ts";
import { PacketFramer } from "./packet-framer.ts";
import type { ConnectPacket, Packet, PublishPacket, Version } from "./packets.ts";
import { readPacket } from "./read-packet.ts";
import { writePacket } from "./write-packet.ts";

const RULES = `rules:
  - allow: publish robots/+/speed
    qos: 1
    payload: { type: object, additionalProperties: false, required: [speed], properties: { speed: { type: number } } }
    clamp: { speed: [-8, 8] }
  - block: publish free/stop
  - allow: "publish free/#"
    retain: true
    user_properties: { type: object, additionalProperties: false, properties: { unit: { enum: [mm] } } }
    response_topic: answers/+
  - allow: subscribe robots/+/state
  - block: subscribe free/secret
  - allow: "subscribe free/+/#"
`;

/** What the rules above say, told again in other words, of what another library reads. */
function mayBePublished({ topic, payload, qos, retain, properties = {} }: IPublishPacket): boolean {
  const { topicAlias, responseTopic, contentType, correlationData, userProperties } = properties;
  if (topicAlias !== undefined || contentType !== undefined || properties.subscriptionIdentifier !== undefined) return false;
  if (/^free(?:\/.*)?$/.test(topic) && topic !== "free/stop") {
    const isResponse = responseTopic === undefined || /^answers\/[^/]*$/.test(responseTopic);
    return isResponse && Object.entries(userProperties ?? {}).every(([name, value]) => name === "unit" && value === "mm");
  }
  if (!/^robots\/[^/]*\/speed$/.test(topic) || qos > 1 || retain) return false;
  if (responseTopic !== undefined || correlationData !== undefined || userProperties !== undefined) return false;
  const match = /^\{"speed":(-?\d+(?:\.\d+)?)\}$/.exec(payload.toString());
  return match !== null && Math.abs(Number(match[1])) <= 8;
}
const mayBeHeard = (topic: string) =>
  /^robots\/[^/]*\/state$/.test(topic) || (/^free\/[^/]*(?:\/.*)?$/.test(topic) && topic !== "free/secret");
const mayBeSubscribed = (filter: string) =>
  /^robots\/[^/#]*\/state$/.test(filter) || (/^free\/[^/#]*(?:\/.*)?$/.test(filter) && !/^free\/(?:\+|secret)(?:\/#)?$/.test(filter));

/** A small generator of numbers (mulberry32), so that a case is many packets. */
function numbers(seed: number) {
  let state = seed >>> 0;
  return (most: number): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % most;
  };
}

const LEVELS = ["robots", "free", "a", "speed", "state", "stop", "secret", "", "$SYS", "$share", "g", "answers", "Robots"];
const WILD = ["+", "+", "#"];
const TOPICS = ["robots/a/speed", "robots/b/state", "robots//speed", "free/a", "free", "free/stop", "free/secret"];
const FILTERS = ["robots/+/state", "robots/a/state", "free/+", "free/a/#", "free/#", "#", "$share/g/free/a", "free/a/+"];
const PAYLOADS = [
  '{"speed":1}',
  '{"speed":99}',
  ' {"speed" : -9.5} ',
  '{"speed":"1"}',
  '{"speed":1,"Speed":2}',
  "",
  "1",
  "{}",
  '{"speed":1e400}',
];
const TEXTS = ["unit", "mm", "inch", "answers/1", "robots/a/stop", "application/json", ""];

/** Packets of somebody who tries all that there is. */
class Attacker {
  readonly #pick: (most: number) => number;

  constructor(pick: (most: number) => number) {
    this.#pick = pick;
  }

  bytes(version: Version): Buffer {
    const bytes = writePacket(this.packet(), version);
    if (this.#pick(40) === 0) bytes[this.#pick(bytes.length)] = this.#pick(256);
    return bytes;
  }

  packet(): Packet {
    const id = 1 + this.#pick(1000);
    switch (this.#pick(10)) {
      case 0:
        return { cmd: this.#of(["puback", "pubrec", "pubrel", "pubcomp"] as const), id, reasonCode: 0, properties: {} };
      case 1:
      case 2: {
        const subscriptions = Array.from({ length: 1 + this.#pick(3) }, () => ({
          filter: this.#filter(),
          qos: this.#pick(3) as 0 | 1 | 2,
          noLocal: false,
          retainAsPublished: this.#pick(2) === 0,
          retainHandling: this.#pick(3),
        }));
        return { cmd: "subscribe", id, properties: {}, subscriptions };
      }
      case 3:
        return { cmd: "unsubscribe", id, properties: {}, filters: [this.#filter(), this.#filter()] };
      default:
        return this.publish(id);
    }
  }

  publish(id: number): PublishPacket {
    const qos = this.#of([0, 0, 1, 2] as const);
    const has = () => this.#pick(12) === 0;
    return {
      cmd: "publish",
      topic: this.#pick(10) === 0 ? "" : this.#topic(),
      payload: Buffer.from(this.#of(PAYLOADS)),
      qos,
      retain: this.#pick(5) === 0,
      dup: false,
      id: qos === 0 ? 0 : id,
      properties: {
        ...(this.#pick(4) === 0 ? { topicAlias: this.#pick(5) } : {}),
        ...(has() ? { responseTopic: this.#of(TEXTS) } : {}),
        ...(has() ? { correlationData: Buffer.from("7") } : {}),
        ...(has() ? { contentType: this.#of(TEXTS) } : {}),
        ...(has() ? { userProperties: [[this.#of(TEXTS), this.#of(TEXTS)] as const] } : {}),
      },
    };
  }

  #topic(): string {
    if (this.#pick(2) === 0) return this.#of(TOPICS);
    return Array.from({ length: 1 + this.#pick(4) }, () => this.#of(this.#pick(40) === 0 ? WILD : LEVELS)).join("/");
  }

  #filter(): string {
    if (this.#pick(2) === 0) return this.#of(FILTERS);
    return Array.from({ length: 1 + this.#pick(4) }, () => this.#of(this.#pick(5) === 0 ? WILD : LEVELS)).join("/");
  }

  #of<Each>(list: readonly Each[]): Each {
    const [chosen] = list.slice(this.#pick(list.length));
    if (chosen === undefined) throw new Error("expected one to choose from");
    return chosen;
  }
}

/** Other packets that may reach the broker. */
const OTHERS: ReadonlySet<string> = new Set(["puback", "pubrec", "pubrel", "pubcomp", "unsubscribe"]);

/** Like `expect`, which would take most of the time. */
function demand(isSo: boolean, packet: unknown): void {
  if (!isSo) throw new Error(`must not pass: ${JSON.stringify(packet)}`);
}

const CONNECT = { cmd: "connect", cleanStart: true, keepAliveSeconds: 0, properties: {}, clientId: "" } as const;
/** Packets of one case: with 200 cases more than 10^5, in seconds. */
const PACKETS = 620;
const WITHIN_MS = 20_000;

test("whatever a client and a broker send, only what the rules allow passes, as another library reads it", () => {
  const rules = fixedRules(parseMqttRules(RULES, "test.yaml", makeLimits()));
  const passed = { publish: 0, subscribe: 0, deliver: 0, decisions: 0, allowed: 0 };
  fc.assert(
    fc.property(fc.integer(), fc.constantFrom(4 as const, 5 as const), (seed, version) => {
      const pick = numbers(seed);
      const attacker = new Attacker(pick);
      const reader = () => {
        const packets: OtherPacket[] = [];
        const parser = mqttPacket.parser({ protocolVersion: version }).on("packet", (packet) => packets.push(packet));
        parser.on("error", (error: Error) => {
          throw error;
        });
        return (packet: Packet) => {
          parser.parse(writePacket(packet, version));
          const read = packets.pop();
          demand(packets.length === 0 && read?.cmd === packet.cmd, packet);
          return read as OtherPacket;
        };
      };
      const open = () => {
        const [atBroker, atClient] = [reader(), reader()];
        const toBroker = (packet: Packet) => {
          const read = atBroker(packet);
          if (read.cmd === "publish") {
            passed.publish += 1;
            demand(mayBePublished(read), read);
          } else if (read.cmd === "subscribe") {
            passed.subscribe += 1;
            demand(
              read.subscriptions.every(({ topic }) => mayBeSubscribed(topic)),
              read,
            );
          } else demand(OTHERS.has(read.cmd), read);
          // A broker answers at once, later, or never.
          if (pick(3) === 0) return;
          if (packet.cmd === "publish" && packet.qos > 0) {
            session.fromBroker({ cmd: packet.qos === 1 ? "puback" : "pubrec", id: packet.id, reasonCode: 0, properties: {} });
          } else if (packet.cmd === "pubrel") session.fromBroker({ ...packet, cmd: "pubcomp" });
          else if (packet.cmd === "subscribe") {
            session.fromBroker({ cmd: "suback", id: packet.id, properties: {}, codes: packet.subscriptions.map(({ qos }) => qos) });
          } else if (packet.cmd === "unsubscribe") {
            session.fromBroker({ cmd: "unsuback", id: packet.id, properties: {}, codes: version === 5 ? packet.filters.map(() => 0) : [] });
          }
        };
        const toClient = (packet: Packet) => {
          const read = atClient(packet);
          if (read.cmd !== "publish") return;
          passed.deliver += 1;
          demand(mayBeHeard(read.topic), read);
        };
        const session: MqttSession = new MqttSession({
          connect: { ...CONNECT, version } satisfies ConnectPacket,
          rules,
          toBroker,
          toClient,
          onDecision: ({ decision }) => {
            passed.decisions += 1;
            if (decision === "allow") passed.allowed += 1;
          },
          onLeft: () => {},
        });
        return { session, framers: [new PacketFramer(() => 4096), new PacketFramer(() => 4096)] as const };
      };
      let { session, framers } = open();
      for (let count = 0; count < PACKETS; count += 1) {
        const isOut = pick(5) === 0;
        const framer = framers[isOut ? 1 : 0];
        framer.push(isOut ? writePacket({ ...attacker.publish(1 + count), properties: {} }, version) : attacker.bytes(version));
        try {
          for (let frame = framer.next(); frame !== undefined; frame = framer.next()) {
            const packet = readPacket(frame, version);
            if (isOut) session.fromBroker(packet);
            else session.fromClient(packet);
          }
        } catch (error) {
          if (!(error instanceof Malformed)) throw error;
          ({ session, framers } = open());
        }
      }
    }),
    { interruptAfterTimeLimit: WITHIN_MS },
  );
  // Nothing passes that was not told as allowed; and it is not so that nothing passes.
  expect(passed.publish + passed.deliver).toBeLessThanOrEqual(passed.allowed);
  for (const count of Object.values(passed)) expect(count).toBeGreaterThan(100);
}, 60_000);
