import type { JsonSchema } from "@hardshare/protocol";
import { parseStrictJson } from "./json-text.ts";

const NUMBER = /^-?(?:0|[1-9]\d{0,30})(?:\.\d{1,30})?(?:[eE][+-]?\d{1,3})?$/;

/** Reads a text of a path or query as the value that a schema asks for: a number, true or false, else a text. */
export type TextReader = (text: string) => unknown;

/**
 * How texts are read for a schema: by its `type`, or by the values that it lists. What does not read as a number stays a
 * text, so that the schema refuses it.
 */
export function compileTextReader(schema: JsonSchema): TextReader {
  const types = typesOf(schema);
  const wantsNumber = types.has("integer") || types.has("number");
  const wantsBoolean = types.has("boolean");
  return (text) => {
    if (wantsNumber && NUMBER.test(text)) {
      const read = parseStrictJson(text);
      // Written again with an exponent, which some devices end a number at: 1e-7 is 1 to them.
      return "value" in read && !String(read.value).includes("e") ? read.value : text;
    }
    if (wantsBoolean && (text === "true" || text === "false")) return text === "true";
    return text;
  };
}

function typesOf(schema: JsonSchema): ReadonlySet<unknown> {
  if (typeof schema === "boolean") return new Set();
  const { type, enum: values } = schema;
  if (type !== undefined) return new Set(Array.isArray(type) ? type : [type]);
  const listed: unknown[] = Array.isArray(values) ? values : "const" in schema ? [schema["const"]] : [];
  return new Set(listed.map((value) => typeof value));
}
