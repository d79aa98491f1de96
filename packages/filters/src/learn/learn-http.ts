import { decodeSegment } from "../rules/path-template.ts";
import { groupBy } from "./group-by.ts";
import { inferSchema, inferText, type ProposedSchema } from "./infer-schema.ts";
import type { ProposedRule } from "./proposed-rules.ts";
import type { HttpMessage } from "./read-decisions.ts";

/** So many values of one part must differ before a rule has a `{name}` in its place. */
const MIN_DIFFERENT = 3;
/** Methods that a rule can name. */
const METHOD = /^[A-Z]+$/;

/** Messages of one rule. A part of the path that differs is undefined. */
interface Group {
  readonly method: string;
  readonly path: readonly (string | undefined)[];
  readonly messages: readonly { readonly path: readonly string[]; readonly message: HttpMessage }[];
}

/** Proposes a rule for each method and path template. */
export function learnHttp(messages: readonly HttpMessage[]): ProposedRule[] {
  const read = messages.flatMap((message) => {
    const path = readPath(message.path);
    return path === undefined || !METHOD.test(message.method) ? [] : [{ path, message }];
  });
  let groups = groupByPath(read);
  const longest = Math.max(0, ...groups.map(({ path }) => path.length));
  for (let place = 0; place < longest; place += 1) groups = mergeAt(groups, place);
  // What is named comes before what has a {name} in that place: the first rule that matches decides.
  return withExceptions(groups.toSorted((a, b) => countNames(a) - countNames(b) || compare(patternOf(a), patternOf(b)))).map(proposeRule);
}

function groupByPath(read: Group["messages"]): Group[] {
  return [...groupBy(read, ({ path, message }) => JSON.stringify([message.method, path])).values()].map((each) => ({
    method: each[0]?.message.method ?? "",
    path: each[0]?.path ?? [],
    messages: each,
  }));
}

/** Puts a rule of its own before all others for each path that an earlier rule than that of its group would decide. */
function withExceptions(groups: readonly Group[]): Group[] {
  const exceptions = groups.flatMap(({ method, messages }, index) =>
    messages.filter(({ path }) => groups.slice(0, index).some((earlier) => earlier.method === method && fits(earlier, path))),
  );
  return [...groupByPath(exceptions), ...groups];
}

function fits(group: Group, path: readonly string[]): boolean {
  return (
    path.length === group.path.length &&
    group.path.every((segment, index) => (segment === undefined ? path[index] !== "" : segment === path[index]))
  );
}

/** Decoded segments; undefined for a path that no rule can name. */
export function readPath(path: string): string[] | undefined {
  const segments = path.slice(1).split("/").map(decodeSegment);
  return segments.every((segment) => segment !== undefined) ? segments : undefined;
}

/** Makes one group of those which differ in this part of the path alone, and whose messages have the same form. */
function mergeAt(groups: readonly Group[], place: number): Group[] {
  const alike = groupBy(groups, (group) =>
    JSON.stringify([
      group.method,
      group.path.map((segment, index) => (index === place ? (segment === "" ? "" : null) : (segment ?? 0))),
      [...new Set(group.messages.map(({ message }) => formOf(message)))].toSorted(),
    ]),
  );
  return [...alike.values()].flatMap((each) => {
    const [first] = each;
    if (first === undefined || each.length < MIN_DIFFERENT || place >= first.path.length) return each;
    const path = first.path.map((segment, index) => (index === place ? undefined : segment));
    return [{ method: first.method, path, messages: each.flatMap(({ messages }) => messages) }];
  });
}

/** The names of all that a message has. */
function formOf({ query, body }: HttpMessage): string {
  const namesIn = (value: unknown): unknown =>
    typeof value === "object" && value !== null && !Array.isArray(value) ? Object.keys(value).toSorted() : typeof value;
  return JSON.stringify([namesIn(query ?? {}), namesIn(body)]);
}

function countNames({ path }: Group): number {
  return path.filter((segment) => segment === undefined).length;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function patternOf({ method, path }: Group): string {
  let count = 0;
  return `${method} /${path.map((segment) => (segment === undefined ? `{${nameOf((count += 1))}}` : encode(segment))).join("/")}`;
}

function nameOf(count: number): string {
  return count === 1 ? "name" : `name${count}`;
}

/** As a rule has it: what means something there is written as %XX. */
function encode(segment: string): string {
  return encodeURIComponent(segment).replaceAll("*", "%2A");
}

function proposeRule(group: Group): ProposedRule {
  const messages = group.messages.map(({ message }) => message);
  const places = group.path.flatMap((segment, index) => (segment === undefined ? [index] : []));
  const path = places.map((place, index) => [nameOf(index + 1), inferPart(group.messages.map((each) => each.path[place] ?? ""))] as const);
  const shared = { allow: patternOf(group), ...(path.length === 0 ? {} : { path: Object.fromEntries(path) }) };
  const bodies = messages.filter((message) => "body" in message).map(({ body }) => body);
  if (group.method === "WS") {
    const rules = bodies.length === 0 ? [] : [{ allow: "json", body: inferSchema(bodies) }];
    return { count: messages.length, rule: { ...shared, in: { rules } } };
  }
  return {
    count: messages.length,
    rule: { ...shared, ...proposeQuery(messages), ...(bodies.length === 0 ? {} : { body: inferSchema(bodies) }) },
    ...(bodies.length === 0 || bodies.length === messages.length
      ? {}
      : { remark: "some came without a body that was recorded, and are refused" }),
  };
}

export function proposeQuery(messages: readonly Pick<HttpMessage, "query">[]): {
  query: Record<string, ProposedSchema>;
  query_required?: string[];
} {
  const queries = messages.map(({ query }) => query ?? {});
  const names = [...new Set(queries.flatMap(Object.keys))].toSorted();
  const required = names.filter((name) => queries.every((query) => Object.hasOwn(query, name)));
  const fields = names.map((name) => {
    const values = queries.flatMap((query) => (Object.hasOwn(query, name) ? [query[name]] : []));
    return [name, inferPart(values.map(String))] as const;
  });
  return { query: Object.fromEntries(fields), ...(required.length === 0 ? {} : { query_required: required }) };
}

/** A part of a path or query: a number, when every text reads as one. */
export function inferPart(texts: readonly string[]): ProposedSchema {
  const isNumeric = texts.every((text) => /^-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?$/.test(text));
  return isNumeric ? inferSchema(texts.map(Number)) : inferText(texts);
}
