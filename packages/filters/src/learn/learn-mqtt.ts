import { covers, readTopic, readTopicPattern } from "../rules/topic-pattern.ts";
import { groupBy } from "./group-by.ts";
import { inferNumber, inferSchema, inferText, type ProposedSchema } from "./infer-schema.ts";
import type { ProposedRule } from "./proposed-rules.ts";
import type { MqttMessage } from "./read-decisions.ts";

/** So many values of one level must differ before a rule has `+` in its place. */
const MIN_DIFFERENT = 3;

type Published = Extract<MqttMessage, { publish: string }>;

/** Messages of one rule. */
interface Group {
  readonly filter: string;
  readonly messages: readonly Published[];
}

/** Proposes a rule for each topic, or for topics that differ in one level, and one for each topic filter subscribed to. */
export function learnMqtt(messages: readonly MqttMessage[]): ProposedRule[] {
  const published = messages.flatMap((message) => ("publish" in message ? [message] : []));
  const subscribed = messages.flatMap((message) => ("subscribe" in message ? [message] : []));
  const subscriptions = [...groupBy(subscribed, ({ subscribe }) => subscribe)].map(([filter, each]) => ({
    count: each.length,
    rule: { allow: `subscribe ${filter}`, qos: highestQos(subscribed, filter) },
  }));
  return [...groupTopics(published).map(proposeRule), ...subscriptions];
}

/** The first rule that covers a subscription decides, so each has to allow what those that it covers asked for. */
function highestQos(subscribed: readonly { readonly subscribe: string; readonly qos: number }[], filter: string): number {
  const pattern = readTopicPattern(filter);
  return Math.max(...subscribed.filter(({ subscribe }) => covers(pattern, readTopicPattern(subscribe))).map(({ qos }) => qos));
}

function groupTopics(messages: readonly Published[]): Group[] {
  const topics = [...groupBy(messages, ({ publish }) => publish)].map(([filter, each]) => ({ filter, messages: each }));
  const longest = Math.max(0, ...topics.map(({ filter }) => filter.split("/").length));
  let groups: Group[] = topics;
  for (let place = 0; place < longest; place += 1) groups = mergeAt(groups, place);
  const ordered = groups.toSorted((a, b) => countWild(a) - countWild(b));
  // A rule of its own, before all others, for each topic that an earlier rule than that of its group would decide.
  const exceptions = topics.filter(({ filter: topic, messages: [message] }) => {
    const deciding = ordered.find(({ filter }) => covers(readTopicPattern(filter), readTopic(topic)));
    return message !== undefined && deciding?.messages.includes(message) !== true;
  });
  return [...exceptions, ...ordered];
}

/** Makes one group of those which differ in this level alone, and whose messages have the same form. */
function mergeAt(groups: readonly Group[], place: number): Group[] {
  const without = ({ filter }: Group) => filter.split("/").with(place, "+").join("/");
  const alike = groupBy(groups, (group) => {
    const levels = group.filter.split("/");
    const canMerge = place < levels.length && !(place === 0 && group.filter.startsWith("$"));
    return JSON.stringify(canMerge ? [without(group), [...new Set(group.messages.map(formOf))].toSorted()] : [group.filter]);
  });
  return [...alike.values()].flatMap((each) => {
    const [first] = each;
    if (first === undefined || each.length < MIN_DIFFERENT) return each;
    return [{ filter: without(first), messages: each.flatMap(({ messages }) => messages) }];
  });
}

function formOf({ payload, text, contentType, responseTopic }: Published): string {
  const names =
    typeof payload === "object" && payload !== null && !Array.isArray(payload) ? Object.keys(payload).toSorted() : typeof payload;
  return JSON.stringify([names, typeof text, contentType, responseTopic]);
}

function countWild({ filter }: Group): number {
  return filter.split("/").filter((level) => level === "+").length;
}

function proposeRule({ filter, messages }: Group): ProposedRule {
  const types = [...new Set(messages.flatMap(({ contentType }) => contentType ?? []))];
  const responses = [...new Set(messages.flatMap(({ responseTopic }) => responseTopic ?? []))];
  const users = messages.flatMap(({ userProperties }) => (userProperties === undefined ? [] : [userProperties]));
  return {
    count: messages.length,
    rule: {
      allow: `publish ${filter}`,
      ...proposePayload(messages),
      qos: Math.max(...messages.map(({ qos }) => qos)),
      ...(messages.some(({ retain }) => retain) ? { retain: true } : {}),
      ...(types.length === 0 ? {} : { content_type: types }),
      ...(responses.length === 0 ? {} : { response_topic: responses.length === 1 ? responses[0] : "#" }),
      ...(users.length === 0 ? {} : { user_properties: inferSchema(users) }),
    },
    ...(responses.length > 1 ? { remark: "the device was asked to answer to several topics: narrow `response_topic`" } : {}),
  };
}

function proposePayload(messages: readonly Published[]): { payload?: ProposedSchema; payload_format?: "text" } {
  if (messages.every((message) => "payload" in message)) return { payload: inferSchema(messages.map(({ payload }) => payload)) };
  if (!messages.every((message) => "text" in message)) return {}; // it was not looked into
  const values = messages.flatMap(({ text }) => (text === undefined ? [] : [text]));
  const isNumeric = values.every((value) => typeof value === "number" || /^-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?$/.test(String(value)));
  return { payload: isNumeric ? inferNumber(values.map(Number)) : inferText(values.map(String)), payload_format: "text" };
}
