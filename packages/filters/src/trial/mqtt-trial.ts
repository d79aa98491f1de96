import { AppError, type FilterDirection } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import { judgeConnect } from "../mqtt/judge-connect.ts";
import { Malformed } from "../mqtt/malformed.ts";
import { MqttSession } from "../mqtt/mqtt-session.ts";
import { PacketFramer } from "../mqtt/packet-framer.ts";
import type { ConnectPacket, Packet, PublishPacket, Version } from "../mqtt/packets.ts";
import { readPacket } from "../mqtt/read-packet.ts";
import { summariseMessage, summariseSubscription } from "../mqtt/summary.ts";
import { writePacket } from "../mqtt/write-packet.ts";
import { openBudgetBook } from "../rules/budget-book.ts";
import { LimitKeeper } from "../rules/limits.ts";
import { fixedRules } from "../rules/live-rules.ts";
import { parseMqttRules } from "../rules/mqtt-rules.ts";
import type { Judgement } from "../run/filter-kind.ts";
import type { Trial } from "./trial.ts";

/**
 * Tries packets on what the filter is made of, without a broker. A message is `publish [-q QOS] [-r] TOPIC [PAYLOAD]`,
 * `will …` or `subscribe [-q QOS] FILTER`; a packet as JSON, such as {"cmd":"publish","topic":"a","properties":{…}}; or
 * the bytes of one in version 5 or 3.1.1, such as `hex5 30 04 00 01 61 00`.
 * @throws AppError `config_invalid`
 */
export async function openMqttTrial(rulesText: string, { file, clock }: { file: string; clock: Clock }): Promise<Trial> {
  const limits = new LimitKeeper({ clock, book: openBudgetBook({ file: undefined, clock }) });
  const rules = fixedRules(parseMqttRules(rulesText, file, limits));
  let decisions: Judgement[] = [];
  let reached: string[] = [];
  const onDecision = (judgement: Judgement) => decisions.push(judgement);
  const sessions = new Map<Version, MqttSession>();
  const open = (connect: ConnectPacket): MqttSession => {
    const session: MqttSession = new MqttSession({
      connect,
      rules,
      onDecision,
      onLeft: () => {},
      toClient: (packet) => {
        if (packet.cmd === "publish") reached.push(describe(packet));
        // What a message with QoS 2 waits for, so that none is still on its way afterwards.
        if (packet.cmd === "pubrec" && packet.reasonCode === 0) session.fromClient({ ...packet, cmd: "pubrel" });
        if (packet.cmd === "publish" && packet.qos > 0) session.fromClient(answer(packet));
        if (packet.cmd === "pubrel") session.fromClient({ ...packet, cmd: "pubcomp" });
      },
      toBroker: (packet) => {
        if (packet.cmd === "publish") reached.push(describe(packet));
        if (packet.cmd === "subscribe") reached.push(...packet.subscriptions.map(summariseSubscription));
        for (const reply of replies(packet)) session.fromBroker(reply);
      },
    });
    sessions.set(connect.version, session);
    return session;
  };
  const send = (frames: PacketFramer, version: Version, direction: FilterDirection) => {
    for (let frame = frames.next(); frame !== undefined; frame = frames.next()) {
      const packet = readPacket(frame, version);
      const session = sessions.get(version) ?? open({ ...CONNECT, version });
      if (direction === "out") session.fromBroker(packet);
      else if (packet.cmd !== "connect") session.fromClient(packet);
      else {
        const { judgement, refusal } = judgeConnect(rules.current, packet);
        onDecision(judgement);
        const will = refusal === undefined ? open(packet).takeWill() : undefined;
        if (will !== undefined) reached.push(describe(will));
      }
    }
  };
  return {
    async try(message, direction = "in") {
      decisions = [];
      reached = [];
      const { bytes, version } = readMessage(message);
      const frames = new PacketFramer(() => rules.current.packetLimitBytes);
      frames.push(bytes);
      try {
        send(frames, version, direction);
      } catch (error) {
        if (!(error instanceof Malformed)) throw error;
        sessions.delete(version);
        onDecision({ direction, rule: "strict", decision: "block", mode: "enforce", summary: message, because: error.message });
      }
      return { message, decisions, reached };
    },
    async [Symbol.asyncDispose]() {},
  };
}

const CONNECT: ConnectPacket = { cmd: "connect", version: 5, cleanStart: true, keepAliveSeconds: 0, properties: {}, clientId: "" };
/** Of every message that is tried: none is still on its way when the next one comes. */
const ID = 1;

function describe(packet: PublishPacket): string {
  const { payload } = packet;
  return `${summariseMessage("publish", { ...packet, payload: Buffer.alloc(0) })}${payload.length === 0 ? "" : ` ${payload.toString("utf8")}`}`;
}

function answer({ qos, id }: PublishPacket): Packet {
  return { cmd: qos === 1 ? "puback" : "pubrec", id, reasonCode: 0, properties: {} };
}

/** What a broker says to a packet. */
function replies(packet: Packet): Packet[] {
  if (packet.cmd === "publish") return packet.qos === 0 ? [] : [answer(packet)];
  if (packet.cmd === "pubrel") return [{ ...packet, cmd: "pubcomp" }];
  if (packet.cmd === "subscribe") {
    return [{ cmd: "suback", id: packet.id, properties: {}, codes: packet.subscriptions.map(({ qos }) => qos) }];
  }
  return [];
}

function readMessage(message: string): { bytes: Buffer; version: Version } {
  const hex = /^hex([45])((?: ?[0-9a-fA-F]{2})*)$/.exec(message);
  if (hex !== null) return { bytes: Buffer.from((hex[2] ?? "").replaceAll(" ", ""), "hex"), version: hex[1] === "4" ? 4 : 5 };
  try {
    const packet = message.startsWith("{") ? readJson(message) : readWords(message);
    if (packet !== undefined) return { bytes: writePacket(packet, 5), version: 5 };
  } catch (error) {
    throw new AppError("bad_input", `this is no packet of MQTT: ${(error as Error).message}`, {
      details: { field: "messages" },
      cause: error,
    });
  }
  throw new AppError(
    "bad_input",
    `expected \`publish TOPIC [PAYLOAD]\`, \`subscribe FILTER\`, \`will TOPIC [PAYLOAD]\`, a packet as JSON, or hex5 and bytes, not: ${message.slice(0, 100)}`,
    { details: { field: "messages" } },
  );
}

function readWords(message: string): Packet | undefined {
  const match = /^(publish|will|subscribe)((?: -q [012]| -r)*) (\S+)(?: ([^]*))?$/.exec(message);
  if (match === null) return undefined;
  const [, what, options = "", topic = "", payload = ""] = match;
  const qos = Number(/-q (\d)/.exec(options)?.[1] ?? 0) as 0 | 1 | 2;
  if (what === "subscribe") {
    return { cmd: "subscribe", id: ID, properties: {}, subscriptions: [{ ...SUBSCRIPTION, filter: topic, qos }] };
  }
  const said = { topic, payload: Buffer.from(payload), qos, retain: options.includes("-r"), properties: {} };
  return what === "will" ? { ...CONNECT, will: said } : { cmd: "publish", ...said, dup: false, id: ID };
}

const SUBSCRIPTION = { noLocal: false, retainAsPublished: false, retainHandling: 0 };

/** A packet without what goes without saying. Texts stand for bytes. */
function readJson(text: string): Packet | undefined {
  const read = JSON.parse(text, (key, value: unknown) =>
    typeof value === "string" && ["payload", "correlationData", "authenticationData", "password"].includes(key)
      ? Buffer.from(value)
      : value,
  ) as Record<string, unknown>;
  const message = { topic: "", payload: Buffer.alloc(0), qos: 0, retain: false, properties: {} };
  const will = read["will"];
  if (read["cmd"] === "publish") return { ...message, dup: false, id: ID, ...read } as Packet;
  if (read["cmd"] === "connect")
    return { ...CONNECT, ...read, ...(typeof will === "object" ? { will: { ...message, ...will } } : {}) } as Packet;
  if (read["cmd"] !== "subscribe") return undefined;
  const subscriptions = (read["subscriptions"] as object[]).map((each) => ({ ...SUBSCRIPTION, qos: 0, ...each }));
  return { id: ID, properties: {}, ...read, subscriptions } as unknown as Packet;
}
