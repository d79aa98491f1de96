import { isUtf8 } from "node:buffer";
import type { JsonSchema, MqttAllowRule } from "@hardshare/protocol";
import type { Message } from "../mqtt/packets.ts";
import { parseStrictJson } from "./json-text.ts";
import type { LimitKeeper, Limits } from "./limits.ts";
import type { Refuse } from "./request-conditions.ts";
import { compileTextReader } from "./text-value.ts";
import { compileTopicPattern, covers, readTopic, type TopicPattern } from "./topic-pattern.ts";
import { compileValueCondition, type ValueCondition } from "./value-condition.ts";

/** What an `allow` asks of a message of MQTT besides its topic. */
export interface MessageConditions {
  readonly maxQos: number;
  readonly mayRetain: boolean;
  readonly properties: PropertyConditions;
  readonly payload: PayloadCondition | undefined;
  readonly limits: Limits;
}

/** What passes of a payload, or why nothing does. */
type PayloadVerdict =
  | {
      /** For limits: an object with the field `payload`, when it is a text. */
      readonly value: unknown;
      readonly payload: Buffer;
      readonly changed?: string | undefined;
      readonly recorded: RecordedPayload;
    }
  | { readonly problem: string };

/** A payload as it was judged, as JSON or as a text, for `--decisions`. */
export type RecordedPayload = { readonly payload: unknown } | { readonly text: unknown };

type PayloadCondition = (payload: Buffer) => PayloadVerdict;

/** @returns why what a message of version 5 says besides its payload does not pass */
type PropertyConditions = (properties: Message["properties"]) => string | undefined;

/** Compiles the conditions of one `allow`. What is wrong with them goes to `refuse`; undefined then. */
export function compileMessageConditions(rule: MqttAllowRule, limits: LimitKeeper, refuse: Refuse): MessageConditions | undefined {
  const { allow, qos, retain, rate, budget } = rule;
  const payload = compilePayload(rule, refuse);
  const properties = compileProperties(rule, refuse);
  if (payload === "wrong" || properties === undefined) return undefined;
  if (typeof budget === "object" && budget.of !== undefined && payload === undefined) {
    refuse(["budget", "of"], "expected `payload` too: what is not read can't be counted");
  }
  return { maxQos: qos, mayRetain: retain, properties, payload, limits: limits.limitsOf({ name: allow, rate, budget }) };
}

function compilePayload(rule: MqttAllowRule, refuse: Refuse): PayloadCondition | "wrong" | undefined {
  const { payload: schema, payload_format: format, clamp } = rule;
  if (schema === undefined) {
    if (clamp !== undefined) refuse(["clamp"], "expected `payload` too: what is not read can't be brought into range");
    if (format === "text") refuse(["payload_format"], "expected `payload` too, with the schema of the text");
    return undefined;
  }
  const isText = format === "text";
  const condition = compileValueCondition(isText ? { type: "object", properties: { payload: schema } } : schema, clamp);
  if ("problem" in condition) {
    const path = condition.of === "clamp" ? ["clamp", ...condition.path] : ["payload", ...condition.path.slice(isText ? 2 : 0)];
    refuse(path, condition.problem);
    return "wrong";
  }
  return isText ? textCondition(schema, condition) : jsonCondition(condition);
}

/** What passes is written anew from what was parsed. */
function jsonCondition(condition: ValueCondition): PayloadCondition {
  return (payload) => {
    const read = parseStrictJson(payload);
    if ("problem" in read) return read;
    const verdict = condition.check(read.value);
    if ("problem" in verdict) return verdict;
    const { value, changed } = verdict;
    return { value, payload: Buffer.from(JSON.stringify(value)), changed, recorded: { payload: value } };
  };
}

/** The text stands as the field `payload` of an object, so that a range or a budget has a name for it. */
function textCondition(schema: JsonSchema, condition: ValueCondition): PayloadCondition {
  const read = compileTextReader(schema);
  return (payload) => {
    if (!isUtf8(payload)) return { problem: "the payload is no text: it is not valid UTF-8" };
    if (payload.includes(0)) return { problem: "the payload holds a NUL, at which some devices end a text" };
    const value = { payload: read(payload.toString("utf8")) };
    const verdict = condition.check(value);
    if ("problem" in verdict) return verdict;
    const passing = value.payload;
    const text = typeof passing === "number" || typeof passing === "boolean" ? Buffer.from(String(passing)) : payload;
    return { value, payload: text, changed: verdict.changed, recorded: { text: passing } };
  };
}

/** What a device could take for a part of the message passes only when the rule speaks of it. */
function compileProperties(rule: MqttAllowRule, refuse: Refuse): PropertyConditions | undefined {
  const { response_topic: responses, content_type: types, user_properties: schema } = rule;
  const pattern = responses === undefined ? undefined : compileTopicPattern(responses);
  if (pattern !== undefined && "problem" in pattern) {
    refuse(["response_topic"], pattern.problem);
    return undefined;
  }
  const users = schema === undefined ? undefined : compileValueCondition(schema);
  if (users !== undefined && "problem" in users) {
    refuse(["user_properties", ...users.path], users.problem);
    return undefined;
  }
  return propertyConditions(pattern, types, users);
}

function propertyConditions(pattern?: TopicPattern, types?: readonly string[], users?: ValueCondition): PropertyConditions {
  return ({ responseTopic, correlationData, contentType, userProperties }) =>
    responseProblem(pattern, responseTopic, correlationData) ??
    (contentType === undefined || types?.includes(contentType) === true
      ? undefined
      : "the owner's rule does not allow this content type") ??
    usersProblem(users, userProperties);
}

/** What `default: allow` asks of a message: what an `allow` does that says nothing but a topic. */
export const PLAIN_CONDITIONS: Pick<MessageConditions, "maxQos" | "mayRetain" | "properties"> = {
  maxQos: 2,
  mayRetain: false,
  properties: propertyConditions(),
};

function responseProblem(pattern: TopicPattern | undefined, topic: string | undefined, data: Buffer | undefined): string | undefined {
  if (topic === undefined && data === undefined) return undefined;
  if (pattern !== undefined && (topic === undefined || covers(pattern, readTopic(topic)))) return undefined;
  return topic === undefined
    ? "the owner's rule does not allow correlation data"
    : "the owner's rule does not allow the device to be asked for an answer to this topic";
}

function usersProblem(condition: ValueCondition | undefined, pairs: Message["properties"]["userProperties"]): string | undefined {
  if (pairs === undefined) return undefined;
  if (condition === undefined) return "the owner's rule does not allow user properties";
  const value = Object.fromEntries(pairs);
  if (Object.keys(value).length < pairs.length) return "a user property is given twice";
  const verdict = condition.check(value);
  return "problem" in verdict ? `user properties: ${verdict.problem}` : undefined;
}
