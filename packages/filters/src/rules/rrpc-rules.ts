import { parseYamlWith } from "@hardshare/runtime";
import * as z from "zod";
import type { CompiledHttpRule, CompiledHttpRules } from "./http-rules.ts";
import { compilePathTemplate } from "./path-template.ts";
import { findArgumentProblem, type Procedure } from "./procedure.ts";
import { BODY_LIMIT_BYTES, type BodyCondition } from "./request-conditions.ts";

/** How signs of a template are written where they stand for themselves. */
const LITERAL: Readonly<Record<string, string>> = { "{": "%7B", "}": "%7D", "*": "%2A" };

/** Keys that nobody knows are ignored, as that program does. */
const File = z.object({
  rules: z.array(
    z.object({
      verb: z.enum(["GET", "POST", "Get", "Post"]).transform((verb) => verb.toUpperCase()),
      uri: z.string(),
      command: z.array(z.string()).min(1, "expected a program, and its arguments"),
    }),
  ),
});
type Rule = z.infer<typeof File>["rules"][number];

/** That program says of no time that it would end a procedure after; it has to end some time. */
const TIMEOUT_MS = 120_000;
const OUTPUT_LIMIT_BYTES = 1024 ** 2;
/** There one procedure runs after the other. */
const MAX_WAITING = 16;

/** Without a file that program has no procedure. */
export const RRPC_WITHOUT_FILE: CompiledHttpRules = { default: "block", mode: "enforce", rules: [], answers: undefined };

/** The body is a text, and the last argument. */
const TEXT_BODY: BodyCondition = {
  condition: { check: (value) => ({ value }) },
  limitBytes: BODY_LIMIT_BYTES,
  mayBeMissing: true,
  isText: true,
};

/**
 * Rules from the text of a configuration file of the existing program `rrpc`, with the meaning that is documented. But a
 * body that begins with - is refused, unless the command ends with `--`: it could be an option of the program.
 * @param file name for messages
 * @throws AppError `config_invalid`: it is wrong (file, line, column, field, what was expected)
 */
export function parseRrpcRules(text: string, file: string, isBusy: (procedure: Procedure) => boolean): CompiledHttpRules {
  const source = parseYamlWith(File, text, file);
  return { ...RRPC_WITHOUT_FILE, rules: source.rules.flatMap((rule) => compileRule(rule, isBusy)) };
}

function compileRule({ verb, uri, command }: Rule, isBusy: (procedure: Procedure) => boolean): CompiledHttpRule[] {
  // What is no template there is none here; and what no path can be equal to decides nothing, there as here.
  const path = uri.startsWith("/") ? compilePathTemplate(uri.replaceAll(/[{}*]/g, (sign) => LITERAL[sign] ?? sign)) : { problem: "" };
  if ("problem" in path) return [];
  const pattern = `${verb} ${uri}`;
  const [program = "", ...given] = command;
  const isOpen = !given.includes("--");
  const procedure: Procedure = {
    name: pattern,
    source: undefined,
    content_type: "text/plain",
    output_limit: OUTPUT_LIMIT_BYTES,
    at_once: 1,
    timeoutMs: TIMEOUT_MS,
    waiting: MAX_WAITING,
    folder: undefined,
    isBusy: () => isBusy(procedure),
    fill({ body }) {
      if (verb !== "POST" || body === undefined || body.length === 0) return { argv: [program, ...given], stdin: undefined };
      const last = body.toString("utf8");
      const problem = findArgumentProblem(last, "the body", isOpen);
      return problem === undefined ? { argv: [program, ...given, last], stdin: undefined } : { problem, status: 400 };
    },
  };
  const unconditional = { path: undefined, query: undefined, limits: undefined, counts: "body" } as const;
  const conditions = { ...unconditional, body: verb === "POST" ? TEXT_BODY : undefined };
  return [
    { decision: "allow", pattern, method: verb, path, because: undefined, conditions, answers: undefined, socket: undefined, procedure },
  ];
}
