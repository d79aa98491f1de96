import { isUtf8 } from "node:buffer";
import type { HttpAllowRule, JsonSchema } from "@hardshare/protocol";
import type { Limits } from "./limits.ts";
import { parseStrictJson } from "./json-text.ts";
import type { PathTemplate } from "./path-template.ts";
import { makeQueryCondition, NO_QUERY, type QueryCondition, type QueryFieldCondition } from "./query-condition.ts";
import { compileTextReader } from "./text-value.ts";
import { compileValueCondition, type ConditionProblem, type ValueCondition } from "./value-condition.ts";

/** What an `allow` asks of a request besides method and path. */
export interface RequestConditions {
  /** @returns what is wrong with the names in the path */
  readonly path: ((decoded: readonly string[]) => string | undefined) | undefined;
  readonly query: QueryCondition | undefined;
  readonly body: BodyCondition | undefined;
  /** Whether there must be a body, or must be none (`rrhttp` only). */
  readonly hasBody?: boolean | undefined;
  readonly limits: Limits | undefined;
  /** Where the number of its budget stands. */
  readonly counts: "query" | "body";
}

/** What a JSON body must be. It is held until it is judged. */
export interface BodyCondition {
  readonly condition: ValueCondition;
  /** Most bytes of a body that is judged. */
  readonly limitBytes: number;
  /** Whether a request without a body passes (`rrhttp` only). */
  readonly mayBeMissing?: boolean;
  /** Whether it is a text, and no JSON (`rrpc` only). */
  readonly isText?: boolean;
}

/** Most bytes of a body, or of a message, that is judged, unless the rule says otherwise. */
export const BODY_LIMIT_BYTES = 1024 ** 2;

/** Tells what is wrong with a field of a rule. */
export type Refuse = (field: readonly (string | number)[], message: string) => void;

/** Why an `allow` does not let something pass: what is wrong with it, and what its owner says. */
export function explain(problem: string, because: string | undefined): string {
  return because === undefined ? problem : `${because} (${problem})`;
}

/** Compiles the conditions of one `allow`. What is wrong with them goes to `refuse`. */
export function compileRequestConditions(
  rule: HttpAllowRule,
  { template, method, limits, refuse }: { template: PathTemplate; method: string; limits: Limits | undefined; refuse: Refuse },
): RequestConditions {
  if (rule.body !== undefined && (method === "GET" || method === "HEAD")) {
    refuse(["body"], `expected no body of a ${method} request, because such a request is always refused`);
  }
  if (rule.body === undefined && rule.body_limit !== undefined && method !== "WS" && rule.response?.remove.length === undefined) {
    refuse(["body_limit"], "expected `body` too, because a body that is not judged streams without a limit");
  }
  const body = rule.body === undefined ? undefined : compileBody(rule, rule.body, refuse);
  return {
    path: rule.path === undefined ? undefined : compilePath(rule.path, template, refuse),
    query: compileQuery(rule, refuse),
    body,
    limits,
    counts: whereCounted(rule),
  };
}

/** Where the number stands that a budget counts: the query's field goes before one of the body that has the same name. */
function whereCounted({ budget, ...rule }: Pick<HttpAllowRule, "budget" | "query" | "body">): RequestConditions["counts"] {
  const of = typeof budget === "object" ? budget.of : undefined;
  return of !== undefined && isQueryField(rule, of) ? "query" : "body";
}

function compilePath(schemas: Readonly<Record<string, JsonSchema>>, template: PathTemplate, refuse: Refuse) {
  const conditions: { index: number; check: (text: string) => string | undefined }[] = [];
  for (const [name, schema] of Object.entries(schemas)) {
    const index = template.segments.findIndex((segment) => "parameter" in segment && segment.parameter === name);
    if (index === -1) refuse(["path", name], `expected a name that stands as {${name}} in the path of the rule`);
    const condition = compileValueCondition(schema);
    if ("problem" in condition) {
      refuse(["path", name, ...condition.path], condition.problem);
      continue;
    }
    const read = compileTextReader(schema);
    conditions.push({
      index,
      check: (text) => {
        const value = read(text);
        // The path goes on as it was sent, so its numbers must have one spelling.
        if (typeof value === "number" && String(value) !== text) return `{${name}} in the path: expected ${value} to be written so`;
        const verdict = condition.check(value);
        return "problem" in verdict ? `{${name}} in the path: ${verdict.problem}` : undefined;
      },
    });
  }
  return (decoded: readonly string[]) => {
    for (const { index, check } of conditions) {
      const problem = check(decoded[index] ?? "");
      if (problem !== undefined) return problem;
    }
    return undefined;
  };
}

function compileQuery(rule: HttpAllowRule, refuse: Refuse): QueryCondition | undefined {
  const { query: schemas, query_required: required = [], query_others: others } = rule;
  if (schemas === undefined) {
    if (required.length > 0) refuse(["query_required"], "expected `query` too, with the schemas of these fields");
    if (others !== undefined) {
      if (rule.body === undefined) refuse(["query_others"], "expected `query` too: without it every query passes unseen");
      return undefined;
    }
    return rule.body === undefined ? undefined : NO_QUERY;
  }
  for (const [index, name] of required.entries()) {
    if (!Object.hasOwn(schemas, name)) refuse(["query_required", index], "expected a field that `query` has a schema for");
  }
  const fields = Object.entries(schemas).flatMap(([name, schema]) => {
    const field = compileQueryField(name, schema, rule.clamp?.[name]);
    if (!("problem" in field)) return [{ ...field, isRequired: required.includes(name) }];
    refuse(["query", name, ...field.path], field.problem);
    return [];
  });
  return makeQueryCondition(fields, others ?? "block");
}

function compileQueryField(
  name: string,
  schema: JsonSchema,
  range: readonly [number, number] | undefined,
): Omit<QueryFieldCondition, "isRequired"> | ConditionProblem {
  const condition = compileValueCondition(schema);
  if ("problem" in condition) return condition;
  const read = compileTextReader(schema);
  return {
    name,
    check(text) {
      const verdict = condition.check(read(text));
      if ("problem" in verdict) return verdict;
      const { value } = verdict;
      if (range === undefined) return { value, text: typeof value === "number" ? String(value) : text };
      if (typeof value !== "number") return { problem: "expected a number, because it is brought into range" };
      const [least, most] = range;
      const inRange = Math.min(most, Math.max(least, value));
      return { value: inRange, text: String(inRange), changed: inRange === value ? undefined : `${name} brought into ${least} to ${most}` };
    },
  };
}

function compileBody(rule: HttpAllowRule, schema: JsonSchema, refuse: Refuse): BodyCondition | undefined {
  const clamp = Object.fromEntries(Object.entries(rule.clamp ?? {}).filter(([place]) => !isQueryField(rule, place)));
  const condition = compileValueCondition(schema, clamp);
  if (!("problem" in condition)) return { condition, limitBytes: rule.body_limit ?? BODY_LIMIT_BYTES };
  refuse([condition.of === "clamp" ? "clamp" : "body", ...condition.path], condition.problem);
  return undefined;
}

/** A name that `query` lists means the query; every other one, and a JSON pointer, the body. */
export function isQueryField(rule: Pick<HttpAllowRule, "query">, place: string): boolean {
  return rule.query !== undefined && Object.hasOwn(rule.query, place);
}

/** What passes of a body, or why none of it does. */
export type BodyVerdict =
  | { readonly value: unknown; readonly bytes: Buffer | undefined; readonly changed: string | undefined }
  | { readonly problem: string };

/** Judges a body that has come whole. What passes is written anew from what was parsed. */
export function judgeBody({ condition, mayBeMissing, isText }: BodyCondition, body: Buffer): BodyVerdict {
  if (body.length === 0) {
    return mayBeMissing === true ? { value: undefined, bytes: undefined, changed: undefined } : { problem: "a JSON body is missing" };
  }
  if (isText === true)
    return isUtf8(body) ? { value: body.toString("utf8"), bytes: body, changed: undefined } : { problem: "expected a body in UTF-8" };
  const read = parseStrictJson(body);
  if ("problem" in read) return read;
  const verdict = condition.check(read.value);
  if ("problem" in verdict) return verdict;
  return { value: verdict.value, bytes: Buffer.from(JSON.stringify(verdict.value)), changed: verdict.changed };
}
