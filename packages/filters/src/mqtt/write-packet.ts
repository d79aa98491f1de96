import { type ConnectPacket, type Message, type Packet, PACKET_TYPES, type PublishPacket, requiredFlags, type Version } from "./packets.ts";
import { type Properties, writeField, writeProperties, writeTwoBytes, writeVariable } from "./properties.ts";

/** Most bytes of a packet behind its fixed header (§2.1.4). */
const MAX_BODY_BYTES = 268_435_455;

/** Writes a packet. @throws RangeError: a field, or all of it, is too long */
export function writePacket(packet: Packet, version: Version): Buffer {
  const body = writeFields(packet, version);
  const length = body.reduce((sum, part) => sum + part.length, 0);
  if (length > MAX_BODY_BYTES) throw new RangeError("the packet is too long");
  const flags = packet.cmd === "publish" ? publishFlags(packet) : requiredFlags(packet.cmd);
  return Buffer.concat([Buffer.from([(PACKET_TYPES.indexOf(packet.cmd) << 4) | flags]), writeVariable(length), ...body]);
}

function publishFlags({ dup, qos, retain }: PublishPacket): number {
  return (dup ? 0x08 : 0) | (qos << 1) | (retain ? 0x01 : 0);
}

function writeFields(packet: Packet, version: Version): Buffer[] {
  const inVersion5 = (properties: Properties) => (version === 5 ? [writeProperties(properties)] : []);
  switch (packet.cmd) {
    case "connect":
      return writeConnect(packet);
    case "connack":
      return [Buffer.from([packet.sessionPresent ? 1 : 0, packet.code]), ...inVersion5(packet.properties)];
    case "publish":
      return [
        writeField(packet.topic),
        ...(packet.qos === 0 ? [] : [writeTwoBytes(packet.id)]),
        ...inVersion5(packet.properties),
        packet.payload,
      ];
    case "puback":
    case "pubrec":
    case "pubrel":
    case "pubcomp":
      return [writeTwoBytes(packet.id), ...(version === 5 ? writeReason(packet) : [])];
    case "subscribe":
      return [
        writeTwoBytes(packet.id),
        ...inVersion5(packet.properties),
        ...packet.subscriptions.flatMap(({ filter, qos, noLocal, retainAsPublished, retainHandling }) => {
          const options = (retainHandling << 4) | (retainAsPublished ? 0x08 : 0) | (noLocal ? 0x04 : 0);
          return [writeField(filter), Buffer.from([version === 5 ? options | qos : qos])];
        }),
      ];
    case "unsubscribe":
      return [writeTwoBytes(packet.id), ...inVersion5(packet.properties), ...packet.filters.map(writeField)];
    case "suback":
    case "unsuback":
      return [writeTwoBytes(packet.id), ...inVersion5(packet.properties), Buffer.from(packet.codes)];
    case "pingreq":
    case "pingresp":
      return [];
    case "disconnect":
    case "auth":
      return version === 5 ? writeReason(packet) : [];
  }
}

/** Left out as far as the standard allows, because some programs read no more. */
function writeReason({ reasonCode, properties }: { reasonCode: number; properties: Properties }): Buffer[] {
  const isPlain = Object.keys(properties).length === 0;
  if (!isPlain) return [Buffer.from([reasonCode]), writeProperties(properties)];
  return reasonCode === 0 ? [] : [Buffer.from([reasonCode])];
}

function writeConnect({ version, cleanStart, keepAliveSeconds, properties, clientId, will, username, password }: ConnectPacket): Buffer[] {
  const flags =
    (username === undefined ? 0 : 0x80) |
    (password === undefined ? 0 : 0x40) |
    (will === undefined ? 0 : 0x04 | (will.qos << 3) | (will.retain ? 0x20 : 0)) |
    (cleanStart ? 0x02 : 0);
  return [
    writeField("MQTT"),
    Buffer.from([version, flags]),
    writeTwoBytes(keepAliveSeconds),
    ...(version === 5 ? [writeProperties(properties)] : []),
    writeField(clientId),
    ...(will === undefined ? [] : writeWill(will, version)),
    ...(username === undefined ? [] : [writeField(username)]),
    ...(password === undefined ? [] : [writeField(password)]),
  ];
}

function writeWill({ topic, payload, properties }: Message, version: Version): Buffer[] {
  return [...(version === 5 ? [writeProperties(properties)] : []), writeField(topic), writeField(payload)];
}
