import { isUtf8 } from "node:buffer";
import { MAX_DECISION_SUMMARY_CHARS } from "@hardshare/protocol";
import type { RecordedPayload } from "../rules/message-conditions.ts";
import type { Message, Subscription } from "./packets.ts";

/** A message in short, for decisions. */
export function summariseMessage(what: "publish" | "will" | "message", { topic, payload, qos, retain }: Message): string {
  const options = `${qos === 0 ? "" : ` -q ${qos}`}${retain ? " -r" : ""}`;
  return `${what}${options} ${topic}${payload.length === 0 ? "" : ` ${preview(payload)}`}`;
}

function preview(payload: Buffer): string {
  const start = payload.subarray(0, MAX_DECISION_SUMMARY_CHARS);
  return payload.length <= MAX_DECISION_SUMMARY_CHARS && isUtf8(payload)
    ? payload.toString("utf8")
    : `${payload.length} bytes: ${start.toString("latin1")}`;
}

/** A subscription in short, for decisions. */
export function summariseSubscription({ filter, qos }: Subscription): string {
  return `subscribe${qos === 0 ? "" : ` -q ${qos}`} ${filter}`;
}

/** A message as it is recorded for `filter learn`. */
export function recordMessage({ topic, qos, retain, properties }: Message, payload: RecordedPayload | undefined) {
  const { contentType, responseTopic, userProperties } = properties;
  return {
    publish: topic,
    qos,
    retain,
    ...payload,
    ...(contentType === undefined ? {} : { contentType }),
    ...(responseTopic === undefined ? {} : { responseTopic }),
    ...(userProperties === undefined ? {} : { userProperties: Object.fromEntries(userProperties) }),
  };
}
