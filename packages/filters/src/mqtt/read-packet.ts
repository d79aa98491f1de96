import { isUtf8 } from "node:buffer";
import { FieldReader } from "./field-reader.ts";
import { Malformed, Reason } from "./malformed.ts";
import type { Frame } from "./packet-framer.ts";
import { type Message, type Packet, type Qos, type Subscription, type Version } from "./packets.ts";
import { type Properties, readProperties } from "./properties.ts";
import { filterProblem, topicProblem } from "../rules/topic-text.ts";

/** Version 3.1, which announces itself by another name. */
export class UnsupportedVersion extends Malformed {}

const NONE: Properties = {};
/** Topic filters in one packet: each is judged and told, all in one turn. */
const MAX_FILTERS = 1000;

/**
 * Reads a packet, strictly: what the standard forbids, or leaves to be read in two ways, is refused.
 * @param version of the connection; a CONNECT says its own
 * @throws Malformed
 */
export function readPacket({ cmd, flags, body }: Frame, version: Version): Packet {
  const reader = new FieldReader(body);
  const packet = readFields(cmd, flags, reader, version);
  reader.end();
  return packet;
}

function readFields(cmd: Packet["cmd"], flags: number, reader: FieldReader, version: Version): Packet {
  switch (cmd) {
    case "connect":
      return readConnect(reader);
    case "connack":
      return readConnack(reader, version);
    case "publish":
      return readPublish(flags, reader, version);
    case "puback":
    case "pubrec":
    case "pubrel":
    case "pubcomp": {
      const id = readId(reader);
      const { reasonCode, properties } = readReason(reader, version, cmd);
      return { cmd, id, reasonCode, properties };
    }
    case "subscribe":
      return readSubscribe(reader, version);
    case "unsubscribe": {
      const id = readId(reader);
      const properties = version === 5 ? readProperties(reader, "unsubscribe") : NONE;
      return { cmd, id, properties, filters: readAll(reader, readFilter) };
    }
    case "suback":
    case "unsuback": {
      const id = readId(reader);
      const properties = version === 5 ? readProperties(reader, "answer") : NONE;
      return { cmd, id, properties, codes: cmd === "unsuback" && version === 4 ? [] : readAll(reader, (each) => each.byte()) };
    }
    case "pingreq":
    case "pingresp":
      return { cmd };
    case "disconnect":
      return { cmd, ...readReason(reader, version, cmd) };
    case "auth":
      if (version === 4) throw new Malformed("AUTH is no packet of version 3.1.1");
      return { cmd, ...readReason(reader, version, cmd) };
  }
}

function readConnect(reader: FieldReader): Packet {
  const name = reader.text();
  const level = reader.byte();
  if (name === "MQIsdp") throw new UnsupportedVersion("the client speaks MQTT 3.1: expected 3.1.1 or 5", Reason.PROTOCOL_ERROR);
  if (name !== "MQTT") throw new Malformed("this is no CONNECT of MQTT", Reason.PROTOCOL_ERROR);
  if (level !== 4 && level !== 5) {
    throw new UnsupportedVersion(
      `the client speaks a version of MQTT with the level ${level}: expected 3.1.1 (4) or 5`,
      Reason.PROTOCOL_ERROR,
    );
  }
  const flags = reader.byte();
  const hasWill = (flags & 0x04) !== 0;
  if ((flags & 0x01) !== 0) throw new Malformed("the reserved flag of the CONNECT is set");
  if (!hasWill && (flags & 0x38) !== 0) throw new Malformed("the CONNECT has flags of a will, and none");
  if (level === 4 && (flags & 0xc0) === 0x40) throw new Malformed("the CONNECT has a password, and no user name");
  const keepAliveSeconds = reader.twoBytes();
  const properties = level === 5 ? readProperties(reader, "connect") : NONE;
  if (properties.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    throw new Malformed("the CONNECT has authentication data, and no method", Reason.PROTOCOL_ERROR);
  }
  const clientId = reader.text();
  const cleanStart = (flags & 0x02) !== 0;
  return {
    cmd: "connect",
    version: level,
    cleanStart,
    keepAliveSeconds,
    properties,
    clientId,
    will: hasWill ? readWill(reader, flags, level) : undefined,
    username: (flags & 0x80) === 0 ? undefined : reader.text(),
    password: (flags & 0x40) === 0 ? undefined : reader.bytes(),
  };
}

function readWill(reader: FieldReader, flags: number, version: Version): Message {
  const properties = version === 5 ? readProperties(reader, "will") : NONE;
  const topic = readTopic(reader);
  const message = { topic, payload: reader.bytes(), qos: readQos(flags >> 3), retain: (flags & 0x20) !== 0, properties };
  checkMessage(message);
  return message;
}

function readConnack(reader: FieldReader, version: Version): Packet {
  const flags = reader.byte();
  if (flags > 1) throw new Malformed("reserved flags of the CONNACK are set");
  const code = reader.byte();
  return {
    cmd: "connack",
    sessionPresent: flags === 1,
    code,
    properties: version === 5 ? readProperties(reader, "connack") : NONE,
  };
}

function readPublish(flags: number, reader: FieldReader, version: Version): Packet {
  const qos = readQos(flags >> 1);
  const dup = (flags & 0x08) !== 0;
  if (dup && qos === 0) throw new Malformed("a PUBLISH with QoS 0 cannot be a repeated one");
  const topic = version === 5 ? reader.text() : readTopic(reader);
  const id = qos === 0 ? 0 : readId(reader);
  const properties = version === 5 ? readProperties(reader, "publish") : NONE;
  if (topic !== "" || properties.topicAlias === undefined) checkTopic(topic);
  const message = { topic, payload: reader.rest(), qos, retain: (flags & 0x01) !== 0, properties };
  checkMessage(message);
  return { cmd: "publish", ...message, dup, id };
}

function readSubscribe(reader: FieldReader, version: Version): Packet {
  const id = readId(reader);
  const properties = version === 5 ? readProperties(reader, "subscribe") : NONE;
  const subscriptions = readAll(reader, (each): Subscription => {
    const filter = readFilter(each);
    const options = each.byte();
    const retainHandling = (options >> 4) & 0x03;
    if ((options & (version === 5 ? 0xc0 : 0xfc)) !== 0) throw new Malformed("reserved options of a subscription are set");
    if (retainHandling === 3) throw new Malformed("the retain handling of a subscription must not be 3", Reason.PROTOCOL_ERROR);
    const noLocal = (options & 0x04) !== 0;
    if (noLocal && filter.startsWith("$share/")) {
      throw new Malformed("a shared subscription cannot have `no local`", Reason.PROTOCOL_ERROR);
    }
    return { filter, qos: readQos(options), noLocal, retainAsPublished: (options & 0x08) !== 0, retainHandling };
  });
  return { cmd: "subscribe", id, properties, subscriptions };
}

/** One or more, to the end of the packet, but not too many. */
function readAll<Each>(reader: FieldReader, read: (reader: FieldReader) => Each): Each[] {
  if (reader.left === 0) throw new Malformed("the packet has no payload", Reason.PROTOCOL_ERROR);
  const all: Each[] = [];
  while (reader.left > 0) {
    if (all.length >= MAX_FILTERS) throw new Malformed(`one packet may have ${MAX_FILTERS} topic filters at most`, Reason.QUOTA_EXCEEDED);
    all.push(read(reader));
  }
  return all;
}

function readReason(reader: FieldReader, version: Version, cmd: FlowOrEnd): { reasonCode: number; properties: Properties } {
  if (version === 4 || reader.left === 0) return { reasonCode: Reason.SUCCESS, properties: NONE };
  const reasonCode = reader.byte();
  if (!REASONS[cmd].includes(reasonCode))
    throw new Malformed(`a ${cmd.toUpperCase()} cannot have the reason code ${reasonCode}`, Reason.PROTOCOL_ERROR);
  const owner = cmd === "disconnect" || cmd === "auth" ? cmd : "answer";
  return { reasonCode, properties: reader.left === 0 ? NONE : readProperties(reader, owner) };
}

type FlowOrEnd = "puback" | "pubrec" | "pubrel" | "pubcomp" | "disconnect" | "auth";
const OF_PUBLISH = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const OF_RELEASE = [0x00, 0x92];
/** Reason codes that a packet may have (§2.4). */
const REASONS: Readonly<Record<FlowOrEnd, readonly number[]>> = {
  puback: OF_PUBLISH,
  pubrec: OF_PUBLISH,
  pubrel: OF_RELEASE,
  pubcomp: OF_RELEASE,
  disconnect: [
    0, 4, 128, 129, 130, 131, 135, 137, 139, 141, 142, 143, 144, 147, 148, 149, 150, 151, 152, 153, 154, 155, 156, 157, 158, 159, 160, 161,
    162,
  ],
  auth: [0x00, 0x18, 0x19],
};

function readId(reader: FieldReader): number {
  const id = reader.twoBytes();
  if (id === 0) throw new Malformed("the packet identifier must not be 0", Reason.PROTOCOL_ERROR);
  return id;
}

function readQos(bits: number): Qos {
  const qos = bits & 0x03;
  if (qos === 3) throw new Malformed("the QoS must not be 3");
  return qos as Qos;
}

function readTopic(reader: FieldReader): string {
  const topic = reader.text();
  checkTopic(topic);
  return topic;
}

function checkTopic(topic: string): void {
  const problem = topicProblem(topic);
  if (problem !== undefined) throw new Malformed(problem, Reason.TOPIC_NAME_INVALID);
}

function readFilter(reader: FieldReader): string {
  const filter = reader.text();
  const problem = filterProblem(filter);
  if (problem !== undefined) throw new Malformed(problem, Reason.TOPIC_FILTER_INVALID);
  return filter;
}

/** What the properties promise of a message must be so. */
function checkMessage({ properties, payload }: Message): void {
  const { responseTopic, payloadFormatIndicator } = properties;
  if (responseTopic !== undefined) checkTopic(responseTopic);
  if (payloadFormatIndicator === 1 && !isUtf8(payload)) {
    throw new Malformed("the payload is said to be UTF-8, and is not", Reason.PAYLOAD_FORMAT_INVALID);
  }
}
