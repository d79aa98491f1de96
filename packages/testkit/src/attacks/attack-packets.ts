import { generate, type IConnectPacket, type Packet, type QoS } from "mqtt-packet";
import { type Chance, makeChance } from "./chance.ts";

/** What one client says to a broker, from CONNECT on, as another library than the filter's writes it. */
export interface MqttConversation {
  readonly version: 4 | 5;
  readonly bytes: Buffer;
  /** The client is gone when all is said, and waits for no answer. */
  readonly hangsUp: boolean;
}

/** Identifier of the last packet: what answers it answers the conversation. */
export const LAST_ID = 65_535;

const LEVELS = ["robots", "free", "a", "speed", "state", "stop", "secret", "", "$SYS", "$share", "g", "Robots", "frée", "a b"];
/** No topic has them; a client that publishes with one is cut. */
const WILD = ["+", "#"];
const TOPICS = ["robots/a/speed", "robots/b/speed", "robots//speed", "free/a", "free", "free/stop", "free/secret", "robots/a/state"];
const FILTERS = [
  "robots/+/state",
  "robots/a/state",
  "free/+",
  "free/a/#",
  "free/#",
  "#",
  "+/a",
  "$share/g/free/a",
  "free/secret",
  "$SYS/#",
];
const PAYLOADS = [
  '{"speed":1}',
  '{"speed":99}',
  ' {"speed" : -9.5} ',
  '{"speed":"1"}',
  '{"speed":1,"Speed":2}',
  '{"speed":1,"speed":99}',
  '{"\\u0073peed":99}',
  '{"speed":1e400}',
  '{"speed":1}\u0000',
  "[]",
  "99",
  "",
];
const TEXTS = ["unit", "mm", "free/stop", "robots/a/speed", "application/json", ""];

/** The same for the same number: at most `count` packets, of which few are damaged. */
export function makeMqttConversation(number: number, count: number): MqttConversation {
  const chance = makeChance(number);
  const { draw, below, happens } = chance;
  const version = draw([4, 5] as const);
  const packets = [
    makeConnect(chance, version),
    ...Array.from({ length: below(count) }, (_, index) => makePacket(chance, version, 1 + index)),
  ];
  const last = { qos: 1, messageId: LAST_ID, dup: false, retain: false } as const;
  packets.push({ cmd: "publish", topic: "free/last", payload: String(number), ...last });
  const written = packets.map((packet) => {
    const bytes = generate(packet, { protocolVersion: version });
    if (happens(0.005)) bytes[below(bytes.length)] = below(256);
    return bytes;
  });
  return { version, bytes: Buffer.concat(written), hangsUp: happens(0.2) };
}

function makeConnect({ draw, below, happens }: Chance, version: 4 | 5): IConnectPacket {
  return {
    cmd: "connect",
    protocolId: "MQTT",
    protocolVersion: version,
    clientId: draw(["", "attacker", `attacker ${below(100)}`]),
    clean: true,
    keepalive: draw([0, 60]),
    ...(happens(0.2) ? { will: { ...makeMessage({ draw, below, happens }), qos: 0 } } : {}),
    ...(happens(0.1) ? { username: "owner", password: Buffer.from("guessed") } : {}),
  };
}

function makePacket(chance: Chance, version: 4 | 5, next: number): Packet {
  const { draw, below, happens } = chance;
  const messageId = happens(0.05) ? 1 + below(next) : next;
  const qos = () => draw<QoS>([0, 0, 1, 2]);
  switch (below(12)) {
    case 0:
      return { cmd: draw(["puback", "pubrec", "pubrel", "pubcomp"] as const), messageId, reasonCode: 0 };
    case 1: {
      const subscriptions = Array.from({ length: 1 + below(3) }, () => ({
        topic: makeFilter(chance),
        qos: qos(),
        nl: false,
        rap: happens(0.5),
        rh: below(3),
      }));
      return { cmd: "subscribe", messageId, subscriptions };
    }
    case 2:
      return { cmd: "unsubscribe", messageId, unsubscriptions: [makeFilter(chance)] };
    case 3:
      return { cmd: "pingreq" };
    default: {
      const properties = {
        ...(happens(0.02) ? { topicAlias: 1 + below(5) } : {}),
        ...(happens(0.05) ? { responseTopic: draw(TEXTS) } : {}),
        ...(happens(0.05) ? { contentType: draw(TEXTS) } : {}),
        ...(happens(0.05) ? { userProperties: { [draw(TEXTS)]: draw(TEXTS) } } : {}),
      };
      const isFlowing = qos();
      return {
        cmd: "publish",
        ...makeMessage(chance),
        qos: isFlowing,
        dup: false,
        ...(isFlowing === 0 ? {} : { messageId }),
        ...(version === 5 ? { properties } : {}),
      };
    }
  }
}

function makeMessage({ draw, below, happens }: Chance): { topic: string; payload: string; retain: boolean } {
  const topic = happens(0.6) ? draw(TOPICS) : makeLevels({ draw, below, happens }, 0.005);
  return { topic: topic === "" ? "/" : topic, payload: draw(PAYLOADS), retain: happens(0.2) };
}

function makeFilter(chance: Chance): string {
  return chance.happens(0.6) ? chance.draw(FILTERS) : makeLevels(chance, 0.1) || "+";
}

function makeLevels({ draw, below, happens }: Chance, wildness: number): string {
  return Array.from({ length: 1 + below(4) }, () => draw(happens(wildness) ? WILD : LEVELS)).join("/");
}
