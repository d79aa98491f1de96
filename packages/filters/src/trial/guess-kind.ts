import { parseYamlWith } from "@hardshare/runtime";
import * as z from "zod";

/** Kinds of filters whose rules can be tried out. */
export const TRIAL_KINDS = ["http", "mqtt", "rosbridge", "rpc", "serial", "tcp"] as const;
export type TrialKind = (typeof TRIAL_KINDS)[number];

const AnyRules = z.looseObject({
  rules: z.array(z.looseObject({ allow: z.unknown().optional(), block: z.unknown().optional(), run: z.unknown().optional() })).optional(),
});
/** Also one that is not yet right, so that its mistake is told. */
const HTTP_PATTERN = /^(?:(?:\*|[A-Z]+) \/|(?:GET|POST|PUT|PATCH|DELETE|WS) )/;

const ROS_PATTERN = /^(?:publish|subscribe|call_service|send_action_goal|cancel_action_goal) /;
/** A name of ROS begins with a slash, a topic of MQTT mostly does not. */
const MQTT_PATTERN = /^(?:publish|subscribe) [^/]/;

const PEER_PATTERN = /^(?:\*|[\d.]+(?:\/\d+)?|[\da-fA-F]*:[\da-fA-F:.]*(?:\/\d+)?)$/;

/** The kind of filter that a rules file is for, by its fields and patterns; undefined when that can't be told. @throws AppError `config_invalid` */
export function guessKind(text: string, name: string): string | undefined {
  const file = parseYamlWith(AnyRules, text, name);
  if ("messages" in file || "output" in file || "refusal" in file) return "serial";
  if ("response" in file) return "http";
  if ("packet_limit" in file) return "mqtt";
  if (file.rules?.some(({ run }) => run !== undefined) === true) return "rpc";
  const patterns = (file.rules ?? []).map(({ allow, block }) => allow ?? block);
  if (patterns.length === 0) return undefined;
  const areAll = (form: RegExp) => patterns.every((pattern) => typeof pattern === "string" && form.test(pattern));
  if (areAll(HTTP_PATTERN)) return "http";
  if (areAll(PEER_PATTERN)) return "tcp";
  if (areAll(MQTT_PATTERN)) return "mqtt";
  return areAll(ROS_PATTERN) ? "rosbridge" : "serial";
}
