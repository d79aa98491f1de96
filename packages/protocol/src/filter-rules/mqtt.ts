import * as z from "zod";
import { Because, Clamp, fileFields, JsonSchema, limitFields } from "./conditions.ts";

const MqttPattern = z
  .string()
  .regex(/^(?:publish|subscribe) ./, "expected `publish` or `subscribe` and a topic filter, such as `publish robots/+/speed`")
  .describe(
    "`publish` or `subscribe`, and a topic filter: `+` stands for one level, a final `#` for all that follow; `$share/<group>/…` for a shared subscription.",
  );

const AllowRule = z.strictObject({
  allow: MqttPattern,
  payload: JsonSchema.optional().describe("Schema of the payload; without it every payload passes."),
  payload_format: z
    .enum(["json", "text"])
    .default("json")
    .describe("How the payload is read for its schema: as JSON, or as a plain text or number, such as ON or 21.5."),
  clamp: Clamp.optional().describe(
    "Numbers of the payload that are brought into range instead of refused; `payload` means the whole of it, with `payload_format: text`.",
  ),
  qos: z
    .union([z.literal(0), z.literal(1), z.literal(2)])
    .default(2)
    .describe("The highest QoS that may be asked for."),
  retain: z
    .boolean()
    .default(false)
    .describe("`publish` only: whether it may be retained. The broker then sends it to whoever comes, also after the instance."),
  response_topic: z
    .string()
    .min(1)
    .optional()
    .describe("`publish` only, version 5: topic filter of the topics to which the device may be asked to answer; left out: it may not."),
  content_type: z
    .array(z.string())
    .min(1)
    .optional()
    .describe("`publish` only, version 5: the content types that may be given; left out: none."),
  user_properties: JsonSchema.optional().describe(
    "`publish` only, version 5: schema of the user properties, an object of texts; left out: there may be none.",
  ),
  ...limitFields,
  because: Because,
});
export type MqttAllowRule = z.infer<typeof AllowRule>;

/**
 * The rules file of the `mqtt` filter. `publish` is said of what goes to the broker, also of a will; `subscribe` of
 * subscriptions, and of each message that comes of them.
 */
export const MqttFilterRules = z.strictObject({
  ...fileFields,
  packet_limit: z
    .int()
    .min(128)
    .max(64 * 1024 ** 2)
    .default(1024 ** 2)
    .describe("Most bytes of a packet, both ways; whoever sends a longer one is cut."),
  rules: z
    .array(z.union([AllowRule, z.strictObject({ block: MqttPattern, because: Because })]))
    .default([])
    .describe("The first whose pattern matches decides."),
});
export type MqttFilterRules = z.infer<typeof MqttFilterRules>;
