import type { Properties } from "./properties.ts";

/** Versions that are spoken: 4 is MQTT 3.1.1, 5 is MQTT 5. */
export type Version = 4 | 5;
export type Qos = 0 | 1 | 2;

/** What a publish and a will have in common. */
export interface Message {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: Qos;
  readonly retain: boolean;
  /** None in version 3.1.1. */
  readonly properties: Properties;
}

export interface ConnectPacket {
  readonly cmd: "connect";
  readonly version: Version;
  readonly cleanStart: boolean;
  readonly keepAliveSeconds: number;
  readonly properties: Properties;
  readonly clientId: string;
  readonly will?: Message | undefined;
  readonly username?: string | undefined;
  readonly password?: Buffer | undefined;
}
export interface ConnackPacket {
  readonly cmd: "connack";
  readonly sessionPresent: boolean;
  /** Of the connection's version: a return code of 3.1.1 or a reason code of 5. */
  readonly code: number;
  readonly properties: Properties;
}
export interface PublishPacket extends Message {
  readonly cmd: "publish";
  readonly dup: boolean;
  /** 0 when `qos` is 0. */
  readonly id: number;
}
/** PUBACK, PUBREC, PUBREL and PUBCOMP. */
export interface FlowPacket {
  readonly cmd: "puback" | "pubrec" | "pubrel" | "pubcomp";
  readonly id: number;
  readonly reasonCode: number;
  readonly properties: Properties;
}
export interface Subscription {
  readonly filter: string;
  readonly qos: Qos;
  /** The next three in version 5 only. */
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  readonly retainHandling: number;
}
export interface SubscribePacket {
  readonly cmd: "subscribe";
  readonly id: number;
  readonly properties: Properties;
  readonly subscriptions: readonly Subscription[];
}
export interface UnsubscribePacket {
  readonly cmd: "unsubscribe";
  readonly id: number;
  readonly properties: Properties;
  readonly filters: readonly string[];
}
/** SUBACK and UNSUBACK. */
export interface SubscriptionAnswer {
  readonly cmd: "suback" | "unsuback";
  readonly id: number;
  readonly properties: Properties;
  /** One for each topic filter; none in an UNSUBACK of version 3.1.1. */
  readonly codes: readonly number[];
}
interface DisconnectPacket {
  readonly cmd: "disconnect";
  readonly reasonCode: number;
  readonly properties: Properties;
}
interface AuthPacket {
  readonly cmd: "auth";
  readonly reasonCode: number;
  readonly properties: Properties;
}
export type Packet =
  | ConnectPacket
  | ConnackPacket
  | PublishPacket
  | FlowPacket
  | SubscribePacket
  | UnsubscribePacket
  | SubscriptionAnswer
  | { readonly cmd: "pingreq" | "pingresp" }
  | DisconnectPacket
  | AuthPacket;

/** The type of each packet, as it stands in its first byte (§2.1.2). */
export const PACKET_TYPES: readonly (Packet["cmd"] | undefined)[] = [
  undefined,
  "connect",
  "connack",
  "publish",
  "puback",
  "pubrec",
  "pubrel",
  "pubcomp",
  "subscribe",
  "suback",
  "unsubscribe",
  "unsuback",
  "pingreq",
  "pingresp",
  "disconnect",
  "auth",
];

/** Flags that the first byte of a packet other than PUBLISH must have (§2.1.3). */
export function requiredFlags(cmd: Packet["cmd"]): number {
  return cmd === "pubrel" || cmd === "subscribe" || cmd === "unsubscribe" ? 2 : 0;
}
