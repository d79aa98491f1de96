import * as z from "zod";
import { Because, Clamp, fileFields, JsonSchema, limitFields } from "./conditions.ts";

const HttpPattern = z
  .string()
  .regex(/^(\*|[A-Z]+) (\/[^\s?#]*)$/, "expected METHOD /path, such as `GET /api/sensors` or `POST /api/drive/*`")
  .describe(
    "`METHOD /path`: `{name}` stands for one segment, a final `/*` for one or more; the method may be `*`, or `WS` for a WebSocket.",
  );

/** What of an answer of the device may go back. */
const HttpResponse = z
  .strictObject({
    status: z
      .array(z.union([z.int().min(200).max(599), z.string().regex(/^[2-5]xx$/, "expected a status such as 200, or 2xx")]))
      .min(1)
      .optional()
      .describe("Statuses that may go back; any other becomes 502."),
    drop_headers: z
      .array(z.string().regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, "expected the name of a header"))
      .default([])
      .describe("Headers that are left out."),
    remove: z
      .array(z.string().min(1))
      .default([])
      .describe(
        "Places in a JSON body that are left out, such as /wifi/password; an answer that is neither JSON nor a picture, sound or film becomes 502.",
      ),
  })
  .describe("What of the device's answer may go back.");
export type HttpResponse = z.infer<typeof HttpResponse>;

/** Fields of a JSON message and the values they must have; or any message of a kind. */
const MessagePattern = z.union([
  z.enum(["json", "text", "binary"]),
  z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
]);
const MessageRule = z.union([
  z.strictObject({
    allow: MessagePattern.describe("Fields and the values they must have, such as { op: subscribe }; or json, text, or binary."),
    body: JsonSchema.optional(),
    clamp: Clamp.optional(),
    ...limitFields,
    because: Because,
  }),
  z.strictObject({ block: MessagePattern, because: Because }),
]);
/** Rules for the messages of a WebSocket, one way. */
export const MessageRules = z.strictObject({ default: fileFields.default, rules: z.array(MessageRule).default([]) });
export type MessageRules = z.infer<typeof MessageRules>;

const AllowRule = z.strictObject({
  allow: HttpPattern,
  path: z.record(z.string(), JsonSchema).optional().describe("Schemas of the {names} in the path."),
  query: z
    .record(z.string(), JsonSchema)
    .optional()
    .describe(
      "Schemas of the query's fields; each may be left out, and there may be no others. Without it every query passes, but with `body` none, for it could replace fields of the body.",
    ),
  query_required: z.array(z.string()).optional().describe("Fields of `query` that must be there."),
  query_others: z.literal("allow").optional().describe("Fields that `query` does not name pass unseen."),
  body: JsonSchema.optional().describe("Schema of a JSON body, which is then held until it is judged."),
  body_limit: z
    .int()
    .min(0)
    .max(64 * 1024 ** 2)
    .optional()
    .describe("Most bytes of a body that is judged, of an answer of which fields are removed, or of a message; default 1 MiB."),
  clamp: Clamp.optional().describe("Numbers of the body, or of fields that `query` names, that are brought into range instead of refused."),
  ...limitFields,
  response: HttpResponse.optional(),
  in: MessageRules.optional().describe("`WS /path` only: for messages to the device; left out, all pass."),
  out: MessageRules.optional().describe("`WS /path` only: for messages from the device; left out, all pass."),
  because: Because,
});
export type HttpAllowRule = z.infer<typeof AllowRule>;
const BlockRule = z.strictObject({ block: HttpPattern, because: Because });

/**
 * The rules file of the `http` filter. The first rule whose pattern matches decides; `default` decides the rest.
 * In a path, `{name}` stands for one segment and a final `/*` for one or more; the method may be `*`, or `WS` for a
 * WebSocket, which no other rule allows.
 */
export const HttpFilterRules = z.strictObject({
  ...fileFields,
  rules: z
    .array(z.union([AllowRule, BlockRule]))
    .default([])
    .describe("The first whose pattern matches decides."),
  response: HttpResponse.optional().describe("For every answer, besides what its rule says."),
});
export type HttpFilterRules = z.infer<typeof HttpFilterRules>;
