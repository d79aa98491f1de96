import type { FieldReader } from "./field-reader.ts";
import { Malformed, Reason } from "./malformed.ts";

/** Properties of a packet of version 5 (§2.2.2.2). */
export interface Properties {
  readonly payloadFormatIndicator?: number;
  readonly messageExpiryInterval?: number;
  readonly contentType?: string;
  readonly responseTopic?: string;
  readonly correlationData?: Buffer;
  readonly subscriptionIdentifier?: readonly number[];
  readonly sessionExpiryInterval?: number;
  readonly assignedClientIdentifier?: string;
  readonly serverKeepAlive?: number;
  readonly authenticationMethod?: string;
  readonly authenticationData?: Buffer;
  readonly requestProblemInformation?: number;
  readonly willDelayInterval?: number;
  readonly requestResponseInformation?: number;
  readonly responseInformation?: string;
  readonly serverReference?: string;
  readonly reasonString?: string;
  readonly receiveMaximum?: number;
  readonly topicAliasMaximum?: number;
  readonly topicAlias?: number;
  readonly maximumQos?: number;
  readonly retainAvailable?: number;
  /** In their order; a name may be there several times. */
  readonly userProperties?: readonly (readonly [name: string, value: string])[];
  readonly maximumPacketSize?: number;
  readonly wildcardSubscriptionAvailable?: number;
  readonly subscriptionIdentifierAvailable?: number;
  readonly sharedSubscriptionAvailable?: number;
}

type PropertyName = keyof Properties;
/** `bit`: 0 or 1 in a byte; `positive`: a number that must not be 0. */
type Form = "bit" | "two" | "positive two" | "four" | "positive four" | "variable" | "text" | "bytes" | "pair";

const FORMS: Readonly<Record<PropertyName, readonly [id: number, form: Form]>> = {
  payloadFormatIndicator: [1, "bit"],
  messageExpiryInterval: [2, "four"],
  contentType: [3, "text"],
  responseTopic: [8, "text"],
  correlationData: [9, "bytes"],
  subscriptionIdentifier: [11, "variable"],
  sessionExpiryInterval: [17, "four"],
  assignedClientIdentifier: [18, "text"],
  serverKeepAlive: [19, "two"],
  authenticationMethod: [21, "text"],
  authenticationData: [22, "bytes"],
  requestProblemInformation: [23, "bit"],
  willDelayInterval: [24, "four"],
  requestResponseInformation: [25, "bit"],
  responseInformation: [26, "text"],
  serverReference: [28, "text"],
  reasonString: [31, "text"],
  receiveMaximum: [33, "positive two"],
  topicAliasMaximum: [34, "two"],
  topicAlias: [35, "two"],
  maximumQos: [36, "bit"],
  retainAvailable: [37, "bit"],
  userProperties: [38, "pair"],
  maximumPacketSize: [39, "positive four"],
  wildcardSubscriptionAvailable: [40, "bit"],
  subscriptionIdentifierAvailable: [41, "bit"],
  sharedSubscriptionAvailable: [42, "bit"],
};

const NAMES = new Map(Object.entries(FORMS).map(([name, [id]]) => [id, name as PropertyName]));

const OF_MESSAGES = [
  "payloadFormatIndicator",
  "messageExpiryInterval",
  "contentType",
  "responseTopic",
  "correlationData",
  "userProperties",
] as const;
const OF_ANSWERS = ["reasonString", "userProperties"] as const;

/** Which packets may have which properties (§2.2.2.2, table 2-4). */
const ALLOWED = {
  connect: [
    "sessionExpiryInterval",
    "receiveMaximum",
    "maximumPacketSize",
    "topicAliasMaximum",
    "requestResponseInformation",
    "requestProblemInformation",
    "userProperties",
    "authenticationMethod",
    "authenticationData",
  ],
  will: ["willDelayInterval", ...OF_MESSAGES],
  connack: [
    "sessionExpiryInterval",
    "receiveMaximum",
    "maximumQos",
    "retainAvailable",
    "maximumPacketSize",
    "assignedClientIdentifier",
    "topicAliasMaximum",
    ...OF_ANSWERS,
    "wildcardSubscriptionAvailable",
    "subscriptionIdentifierAvailable",
    "sharedSubscriptionAvailable",
    "serverKeepAlive",
    "responseInformation",
    "serverReference",
    "authenticationMethod",
    "authenticationData",
  ],
  publish: ["topicAlias", "subscriptionIdentifier", ...OF_MESSAGES],
  subscribe: ["subscriptionIdentifier", "userProperties"],
  unsubscribe: ["userProperties"],
  answer: OF_ANSWERS,
  disconnect: ["sessionExpiryInterval", "serverReference", ...OF_ANSWERS],
  auth: ["authenticationMethod", "authenticationData", ...OF_ANSWERS],
} satisfies Record<string, readonly PropertyName[]>;

/** Reads the properties of a packet. @throws Malformed: unknown ones, others than the packet may have, or one given twice */
export function readProperties(packet: FieldReader, owner: keyof typeof ALLOWED): Properties {
  const reader = packet.part(packet.variable());
  const read: Record<string, unknown> = {};
  const pairs: [string, string][] = [];
  const identifiers: number[] = [];
  while (reader.left > 0) {
    const id = reader.variable();
    const name = NAMES.get(id);
    if (name === undefined || !(ALLOWED[owner] as readonly PropertyName[]).includes(name)) {
      throw new Malformed(`a property has the identifier ${id}, which this packet cannot have`, Reason.PROTOCOL_ERROR);
    }
    if (name === "userProperties") {
      pairs.push([reader.text(), reader.text()]);
      continue;
    }
    const value = readValue(reader, name, FORMS[name][1]);
    if (name === "subscriptionIdentifier" && owner === "publish") {
      identifiers.push(value as number);
      continue;
    }
    if (Object.hasOwn(read, name)) throw new Malformed(`the property ${name} is given twice`, Reason.PROTOCOL_ERROR);
    read[name] = name === "subscriptionIdentifier" ? [value] : value;
  }
  if (pairs.length > 0) read["userProperties"] = pairs;
  if (identifiers.length > 0) read["subscriptionIdentifier"] = identifiers;
  return read;
}

function readValue(reader: FieldReader, name: PropertyName, form: Form): unknown {
  const value = readForm(reader, form);
  const isPositive = form === "positive two" || form === "positive four" || form === "variable";
  if ((isPositive && value === 0) || (form === "bit" && (value as number) > 1)) {
    throw new Malformed(`the property ${name} must not be ${String(value)}`, Reason.PROTOCOL_ERROR);
  }
  return value;
}

function readForm(reader: FieldReader, form: Form): unknown {
  switch (form) {
    case "bit":
      return reader.byte();
    case "two":
    case "positive two":
      return reader.twoBytes();
    case "four":
    case "positive four":
      return reader.fourBytes();
    case "variable":
      return reader.variable();
    case "bytes":
      return reader.bytes();
    case "text":
    case "pair":
      return reader.text();
  }
}

/** The properties as they stand in a packet, with their length before them. */
export function writeProperties(properties: Properties): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of Object.entries(properties) as [PropertyName, unknown][]) {
    if (value === undefined) continue;
    const [id, form] = FORMS[name];
    const values = name === "userProperties" || name === "subscriptionIdentifier" ? (value as readonly unknown[]) : [value];
    for (const each of values) parts.push(Buffer.from([id]), ...writeValue(form, each));
  }
  const whole = Buffer.concat(parts);
  return Buffer.concat([writeVariable(whole.length), whole]);
}

function writeValue(form: Form, value: unknown): Buffer[] {
  switch (form) {
    case "bit":
      return [Buffer.from([value as number])];
    case "two":
    case "positive two":
      return [writeTwoBytes(value as number)];
    case "four":
    case "positive four": {
      const bytes = Buffer.allocUnsafe(4);
      bytes.writeUInt32BE(value as number);
      return [bytes];
    }
    case "variable":
      return [writeVariable(value as number)];
    case "pair":
      return (value as readonly [string, string]).map((text) => writeField(text));
    case "text":
    case "bytes":
      return [writeField(value as string | Buffer)];
  }
}

export function writeTwoBytes(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

/** A number of variable length (§1.5.5). */
export function writeVariable(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  do {
    const digit = left % 0x80;
    left = Math.floor(left / 0x80);
    bytes.push(left > 0 ? digit | 0x80 : digit);
  } while (left > 0);
  return Buffer.from(bytes);
}

/** A text, or bytes, after their length. @throws RangeError when it has more than 65,535 bytes */
export function writeField(value: string | Buffer): Buffer {
  const bytes = typeof value === "string" ? Buffer.from(value, "utf8") : value;
  return Buffer.concat([writeTwoBytes(bytes.length), bytes]);
}
