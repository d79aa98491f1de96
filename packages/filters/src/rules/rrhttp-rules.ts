import { parseYamlWith } from "@hardshare/runtime";
import * as z from "zod";
import { foldName } from "./fold-name.ts";
import type { CompiledHttpRule, CompiledHttpRules } from "./http-rules.ts";
import { compilePathTemplate } from "./path-template.ts";
import { makeQueryCondition, type QueryCondition, type QueryFieldCondition } from "./query-condition.ts";
import { BODY_LIMIT_BYTES, type BodyCondition } from "./request-conditions.ts";
import { compileTextReader } from "./text-value.ts";
import type { ValueCondition } from "./value-condition.ts";

const Decision = z.enum(["allow", "block"]);

const Field = z.object({
  name: z.string(),
  type: z.enum(["bool", "float", "int"]),
  optional: z.boolean().default(false),
  case_sensitive: z.boolean().default(true),
  range: z
    .tuple([z.number(), z.number()])
    .refine(([least, most]) => least <= most, "expected [smallest, largest]")
    .optional(),
});
type Field = z.infer<typeof Field>;

const Rule = z.object({
  verb: z.enum(["GET", "POST", "Get", "Post"]).transform((verb) => verb.toUpperCase()),
  uri: z.string(),
  has_params: z.boolean().optional(),
  has_body: z.boolean().optional(),
  default: Decision.default("allow"),
  schema: z.array(Field).optional(),
});
type Rule = z.infer<typeof Rule>;

/** Keys that nobody knows are ignored, as that program does. */
const File = z.object({ default: Decision, rules: z.array(Rule) });

/** Without a file that program lets everything pass. */
export const RRHTTP_WITHOUT_FILE: CompiledHttpRules = { default: "allow", mode: "enforce", rules: [], answers: undefined };

/**
 * Rules from the text of a configuration file of the existing program `rrhttp`, with the meaning that is documented.
 * @param file name for messages
 * @throws AppError `config_invalid`: it is wrong (file, line, column, field, what was expected)
 */
export function parseRrhttpRules(text: string, file: string): CompiledHttpRules {
  const source = parseYamlWith(File, text, file);
  return { default: source.default, mode: "enforce", rules: source.rules.flatMap(compileRule), answers: undefined };
}

function compileRule(rule: Rule): CompiledHttpRule[] {
  const { verb, uri, schema } = rule;
  // What is no template there is none here; and what no path can be equal to decides nothing, there as here.
  const path = uri.startsWith("/") ? compilePathTemplate(uri.replaceAll(/[{}*]/g, encodeURIComponent)) : { problem: "" };
  if ("problem" in path) return [];
  const isQuery = verb === "GET";
  return [
    {
      decision: "allow",
      pattern: `${verb} ${uri}`,
      method: verb,
      path,
      because: undefined,
      conditions: {
        path: undefined,
        query: requirePresence(rule.has_params, schema !== undefined && isQuery ? compileQuery(schema, rule.default) : undefined),
        body: schema === undefined || isQuery ? undefined : compileBody(schema, rule.default),
        hasBody: rule.has_body,
        limits: undefined,
        counts: "body",
      },
      answers: undefined,
      socket: undefined,
    },
  ];
}

function requirePresence(isPresent: boolean | undefined, condition: QueryCondition | undefined): QueryCondition | undefined {
  if (isPresent === undefined) return condition;
  return {
    check(query) {
      if ((query !== undefined) !== isPresent) return { problem: isPresent ? "a query is missing" : "expected no query" };
      return condition?.check(query) ?? { values: {}, text: query ?? "", changed: undefined };
    },
  };
}

function compileQuery(schema: readonly Field[], others: "allow" | "block"): QueryCondition {
  const fields = schema.map((field): QueryFieldCondition => {
    const read = compileTextReader({ type: { bool: "boolean", float: "number", int: "integer" }[field.type] });
    return {
      name: field.name,
      isRequired: !field.optional,
      ignoresCase: !field.case_sensitive,
      check(text) {
        const value = read(text);
        const problem = findMisfit(field, value);
        return problem === undefined ? { value, text: typeof value === "number" ? String(value) : text } : { problem };
      },
    };
  });
  return makeQueryCondition(fields, others);
}

function compileBody(schema: readonly Field[], others: "allow" | "block"): BodyCondition {
  const condition: ValueCondition = {
    check(value) {
      if (typeof value !== "object" || value === null || Array.isArray(value)) return { problem: "expected a JSON object" };
      const problem = findMisfits(value as Record<string, unknown>, schema, others);
      return problem === undefined ? { value } : { problem };
    },
  };
  return { condition, limitBytes: BODY_LIMIT_BYTES, mayBeMissing: schema.every(({ optional }) => optional) };
}

/** Names that differ in letter case only are refused before: no two of them are in one object. */
function findMisfits(given: Readonly<Record<string, unknown>>, schema: readonly Field[], others: "allow" | "block"): string | undefined {
  const known = new Set<string>();
  for (const field of schema) {
    const { name, optional, case_sensitive: isExact } = field;
    const alike = Object.keys(given).find((key) => foldName(key) === foldName(name));
    if (alike === undefined) {
      if (!optional) return `${name} is missing`;
      continue;
    }
    if (isExact && alike !== name) return `${JSON.stringify(alike)}: expected the spelling ${name}`;
    known.add(alike);
    const problem = findMisfit(field, given[alike]);
    if (problem !== undefined) return `${name}: ${problem}`;
  }
  const other = others === "block" ? Object.keys(given).find((key) => !known.has(key)) : undefined;
  return other === undefined ? undefined : `the owner's rules have no field ${JSON.stringify(other.slice(0, 64))}`;
}

function findMisfit({ type, range }: Field, value: unknown): string | undefined {
  if (type === "bool") return typeof value === "boolean" ? undefined : "expected true or false";
  if (typeof value !== "number" || !Number.isFinite(value)) return "expected a number";
  if (type === "int" && !Number.isSafeInteger(value)) return "expected a whole number";
  return range === undefined || (value >= range[0] && value <= range[1]) ? undefined : `expected ${range[0]} to ${range[1]}`;
}
