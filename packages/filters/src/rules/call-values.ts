import { parseStrictJson } from "./json-text.ts";
import type { PathTemplate } from "./path-template.ts";
import type { ProcedureInput, ProcedureProblem } from "./procedure.ts";

/** The values of a call, by name. */
export interface CallValues {
  /** As an argument: undefined when it is missing, or is no text, number, true or false. */
  argument(name: string): string | undefined;
  /** As a text, with lists and objects as JSON; `body` is the whole body, unless a value has this name. */
  text(name: string): string | undefined;
}

/** The places in which a rule looks for the values of a call: a value of any other place stands for none of its names. */
export interface ValuePlaces {
  readonly path: PathTemplate;
  /** Names of fields of the query. */
  readonly query: ReadonlySet<string>;
  /** Names of fields of the body; undefined when the rule has none. */
  readonly body: ReadonlySet<string> | undefined;
}

/** Reads the values of a call, each from the place where it was judged. */
export function readCallValues({ path, target, body }: ProcedureInput, places: ValuePlaces): CallValues | ProcedureProblem {
  const values = new Map<string, unknown>();
  for (const [index, segment] of places.path.segments.entries()) {
    if ("parameter" in segment) values.set(segment.parameter, path[index]);
  }
  const mark = target.indexOf("?");
  if (mark !== -1) {
    for (const [name, text] of new URLSearchParams(target.slice(mark))) if (places.query.has(name)) values.set(name, text);
  }
  let whole: unknown;
  if (places.body !== undefined && body !== undefined && body.length > 0) {
    const read = parseStrictJson(body);
    if ("problem" in read) return { problem: read.problem, status: 400 };
    whole = read.value;
    if (typeof whole === "object" && whole !== null && !Array.isArray(whole)) {
      for (const [name, value] of Object.entries(whole)) if (places.body.has(name)) values.set(name, value);
    }
  }
  return {
    argument: (name) => writeArgument(values.get(name)),
    text(name) {
      const value = values.has(name) ? values.get(name) : name === "body" ? whole : undefined;
      return typeof value === "object" ? JSON.stringify(value) : writeArgument(value);
    },
  };
}

function writeArgument(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return String(value);
  // Not with an exponent, at which some programs end a number: 1e-7 is 1 to them.
  return typeof value === "number" && !String(value).includes("e") ? String(value) : undefined;
}
