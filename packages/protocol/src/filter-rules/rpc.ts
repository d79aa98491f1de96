import * as z from "zod";
import { DurationSeconds } from "../durations.ts";
import { Because, Clamp, fileFields, JsonSchema, limitFields } from "./conditions.ts";

const CallPattern = z
  .string()
  .regex(/^(?:GET|POST|PUT|PATCH|DELETE) \/[^\s?#]*$/, "expected METHOD /path, such as `GET /date` or `POST /joints/{joint}`")
  .describe("`METHOD /path`, by which the procedure is called: `{name}` stands for one segment.");

const BlockPattern = z
  .string()
  .regex(/^(?:\*|[A-Z]+) \/[^\s?#]*$/, "expected METHOD /path, such as `POST /reset`")
  .describe("`METHOD /path`: `{name}` stands for one segment, a final `/*` for one or more; the method may be `*`.");

const CommandText = z.string().refine((text) => !text.includes("\0"), "expected a text without NUL");

/** What of a procedure's output is answered at most, unless its rule says otherwise. */
const OUTPUT_LIMIT_BYTES = 1024 ** 2;
/** How long a procedure may take, in seconds, unless its rule says otherwise. */
const TIMEOUT_S = 30;

const RpcAllowRule = z.strictObject({
  allow: CallPattern,
  run: z
    .array(CommandText)
    .min(1)
    .describe(
      "The program, which counts from the folder of this file when it has a slash, and its arguments, which no shell reads. `{name}` stands for a value of the path, the query or the body; one that begins with - is refused, unless `--` or other text of the argument stands before it. An argument is left out when its value is.",
    ),
  stdin: CommandText.optional().describe(
    "Text for its standard input, with `{name}` as in `run`, and `{body}` for the whole body as JSON.",
  ),
  path: z.record(z.string(), JsonSchema).optional().describe("Schemas of the {names} in the path."),
  query: z
    .record(z.string(), JsonSchema)
    .optional()
    .describe("Schemas of the query's fields; each may be left out, and there may be no others."),
  query_required: z.array(z.string()).optional().describe("Fields of `query` that must be there."),
  body: JsonSchema.optional().describe("Schema of a JSON body; left out: there may be none."),
  body_limit: z
    .int()
    .min(0)
    .max(64 * 1024 ** 2)
    .optional()
    .describe("Most bytes of a body; default 1 MiB."),
  clamp: Clamp.optional().describe("Numbers of body or query that are brought into range instead of refused."),
  ...limitFields,
  timeout: DurationSeconds.refine((seconds) => seconds <= 3600, "expected at most 1h")
    .default(TIMEOUT_S)
    .describe(`How long it may take before it is killed (default ${TIMEOUT_S}s).`),
  output_limit: z
    .int()
    .min(0)
    .max(16 * 1024 ** 2)
    .default(OUTPUT_LIMIT_BYTES)
    .describe("Most bytes that it may write to standard output; one that writes more is killed. Default 1 MiB."),
  at_once: z.int().min(1).max(16).default(1).describe("How many of it may run at the same time; one more is refused (503)."),
  content_type: z
    .string()
    .regex(/^[\w.+-]+\/[\w.+-]+(?:; ?[\w-]+=[\w.+-]+)*$/, "expected a media type such as application/json")
    .default("text/plain; charset=utf-8")
    .describe("What its output is."),
  because: Because,
});
export type RpcAllowRule = z.infer<typeof RpcAllowRule>;

/**
 * The rules file of the `rpc` filter: programs of the owner that the instance's user calls by HTTP. The first rule whose
 * pattern matches decides; there is nothing to run for what no rule matches.
 */
export const RpcFilterRules = z.strictObject({
  mode: fileFields.mode,
  rules: z
    .array(z.union([RpcAllowRule, z.strictObject({ block: BlockPattern, because: Because })]))
    .default([])
    .describe("The first whose pattern matches decides; what none matches is refused."),
});
export type RpcFilterRules = z.infer<typeof RpcFilterRules>;
