import { foldName } from "./fold-name.ts";

/** One field of a query, decoded. */
interface QueryField {
  readonly name: string;
  /** Undefined when there is no `=`. */
  readonly value: string | undefined;
  /** As it was sent. */
  readonly text: string;
}

/** What a field's value must be. */
export interface QueryFieldCondition {
  readonly name: string;
  readonly isRequired: boolean;
  /** Whether devices take the name in any letter case (`rrhttp` only). */
  readonly ignoresCase?: boolean;
  /** @returns the value, and the text to write when it is not the one that was read; or what is wrong with it */
  check(
    text: string,
  ): { readonly value: unknown; readonly text: string; readonly changed?: string | undefined } | { readonly problem: string };
}

/** What passes of a query: its values by name, and its text written anew. */
type QueryVerdict =
  | { readonly values: Readonly<Record<string, unknown>>; readonly text: string; readonly changed: string | undefined }
  | { readonly problem: string };

/** A condition on the query of a request. */
export interface QueryCondition {
  /** @param query what stands after the `?`; undefined without one */
  check(query: string | undefined): QueryVerdict;
}

/**
 * A condition on each field of a query. Fields that it does not name are refused, or pass as they are when `others` is
 * `allow`; then too no field may pass that a device could take for one that is named.
 */
export function makeQueryCondition(fields: readonly QueryFieldCondition[], others: "allow" | "block"): QueryCondition {
  const byName = new Map(fields.map((field) => [field.name, field]));
  const byFolded = new Map(fields.map((field) => [fold(field.name), field]));
  return {
    check(query) {
      const read = readQuery(query ?? "");
      if ("problem" in read) return read;
      const values: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
      const written: string[] = [];
      const seen = new Set<string>();
      let changed: string | undefined;
      for (const { name, value, text } of read) {
        const folded = fold(name);
        const alike = byFolded.get(folded);
        const field = byName.get(name) ?? (alike?.ignoresCase === true ? alike : undefined);
        if (alike !== undefined || field !== undefined || others === "block") {
          if (seen.has(folded)) return { problem: `the query field ${quote(name)} is given twice` };
          seen.add(folded);
        }
        if (field === undefined) {
          if (others === "block") return { problem: `the owner's rules have no query field ${quote(name)}` };
          if (alike !== undefined) return { problem: `the query field ${quote(name)} could be taken for ${alike.name}` };
          written.push(text);
          continue;
        }
        if (value === undefined) return { problem: `the query field ${field.name} has no value` };
        const result = field.check(value);
        if ("problem" in result) return { problem: `the query field ${field.name}: ${result.problem}` };
        if (result.changed !== undefined) changed = changed === undefined ? result.changed : `${changed}; ${result.changed}`;
        values[field.name] = result.value;
        written.push(`${encodeURIComponent(name)}=${encodeURIComponent(result.text)}`);
      }
      for (const { name, isRequired } of fields) {
        if (isRequired && !(name in values)) return { problem: `the query field ${name} is missing` };
      }
      return { values, text: written.join("&"), changed };
    },
  };
}

/** For a rule that judges the body only: many frameworks let fields of a query stand for fields of the body. */
export const NO_QUERY: QueryCondition = {
  check: (query) =>
    query === undefined || query === ""
      ? { values: {}, text: "", changed: undefined }
      : {
          problem:
            "the filter rule judges the body, and a query could replace fields of it: expected none (`query` of the rule allows fields)",
        },
};

/** Reads a query, and refuses what two parsers could read in two ways. */
function readQuery(query: string): QueryField[] | { problem: string } {
  if (query === "") return [];
  if (query.includes(";")) return { problem: "the query holds a semicolon, which some devices read as &" };
  if (query.includes("+")) return { problem: "the query holds a +, which some devices read as a blank: expected %20 or %2B" };
  const fields: QueryField[] = [];
  for (const text of query.split("&")) {
    if (text === "") return { problem: "the query holds an empty field" };
    const mark = text.indexOf("=");
    const name = decode(mark === -1 ? text : text.slice(0, mark));
    const value = mark === -1 ? undefined : decode(text.slice(mark + 1));
    if (name === null || value === null)
      return { problem: "the query's percent-encoding is not valid UTF-8, or holds a control character" };
    fields.push({ name, value, text });
  }
  return fields;
}

function decode(text: string): string | null {
  if (!text.includes("%")) return text;
  try {
    const decoded = decodeURIComponent(text);
    return /\p{Cc}/u.test(decoded) ? null : decoded;
  } catch {
    return null;
  }
}

/** As devices might read a name: without letter case, `a[]` and `a[b]` as `a`, blanks and dots as `_` (PHP). */
function fold(name: string): string {
  return foldName((name.split("[", 1)[0] ?? "").trim()).replaceAll(/[\s.]/g, "_");
}

function quote(name: string): string {
  return JSON.stringify(name.slice(0, 64));
}
