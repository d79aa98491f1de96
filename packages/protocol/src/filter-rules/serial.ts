import * as z from "zod";
import { Because, Clamp, fileFields, JsonSchema, limitFields } from "./conditions.ts";

const LinePattern = z.string().min(1).describe("A regular expression that must match the whole message; (?<name>…) names a part.");

const SerialAllowRule = z.strictObject({
  allow: LinePattern,
  groups: z.record(z.string(), JsonSchema).optional().describe("Schemas of the named parts; numbers are read as numbers."),
  clamp: Clamp.optional().describe("Named parts that are brought into range instead of refused."),
  ...limitFields,
  because: Because,
});
export type SerialAllowRule = z.infer<typeof SerialAllowRule>;
const SerialRule = z.union([SerialAllowRule, z.strictObject({ block: LinePattern, because: Because })]);

/** A byte as a character, or as 0x18. */
const Byte = z.union([
  z.int().min(0).max(255),
  z
    .string()
    .refine((text) => text.length === 1 && text.charCodeAt(0) < 0x80, "expected one ASCII character, or a number such as 0x18")
    .transform((text) => text.charCodeAt(0)),
]);

/** How the stream of bytes is cut into messages. */
const SerialMessages = z.strictObject({
  end: z
    .union([z.literal("line"), z.array(Byte).min(1).max(8)])
    .optional()
    .describe("What ends a message: `line` (CR, LF or both; the default), or these bytes, one after the other."),
  length: z.int().min(1).max(4096).optional().describe("Every message has so many bytes; instead of `end`."),
  limit: z.int().min(1).max(65_536).default(256).describe("Most bytes of a message; a longer one is blocked."),
  realtime: z
    .array(Byte)
    .default([])
    .describe("Bytes that are messages of their own wherever they stand, such as GRBL's [!, ?, ~, 0x18]; a rule sees \\x18 for 0x18."),
});

/**
 * The rules file of the `serial` filter: `rules` for what goes to the device, `output` for what comes from it.
 */
export const SerialFilterRules = z.strictObject({
  ...fileFields,
  messages: SerialMessages.prefault({}).describe("How the stream of bytes is cut into messages."),
  refusal: z
    .string()
    .max(200)
    .default("")
    .describe(
      "A line that is written back for a refused message, between the lines of the device, with {rule} and {because}; empty (the default): nothing.",
    ),
  answer: z
    .string()
    .min(1)
    .optional()
    .describe(
      "What the device says when it has taken a message, as a pattern for a whole line of it, such as `ok|error:.*|ALARM:.*|Grbl .*`: the next message waits for that, real-time bytes do not. For firmware that drops what does not fit its receive buffer.",
    ),
  rules: z.array(SerialRule).default([]).describe("For what goes to the device: the first whose pattern matches decides."),
  output: z
    .strictObject({ default: z.enum(["allow", "block"]).default("allow"), rules: z.array(SerialRule).default([]) })
    .prefault({})
    .describe("For what comes from the device."),
});
export type SerialFilterRules = z.infer<typeof SerialFilterRules>;
