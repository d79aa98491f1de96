import { isUtf8 } from "node:buffer";
import { findAmbiguity } from "./json-ambiguity.ts";

/** A JSON text that every parser reads in the same way, or why this one is refused. */
export type StrictJson = { readonly value: unknown } | { readonly problem: string };

/**
 * Reads JSON (RFC 8259) and refuses what two parsers could read in two ways: invalid UTF-8, a byte order mark, a field
 * given twice (also in other letters of the same name), numbers that a double can't keep, NUL and lone surrogates in
 * texts, and nesting deeper than 64 levels.
 */
export function parseStrictJson(source: Uint8Array | string): StrictJson {
  let text: string;
  if (typeof source === "string") {
    if (/\p{Surrogate}/u.test(source)) return { problem: "the JSON text holds half a surrogate pair" };
    text = source;
  } else {
    if (!isUtf8(source)) return { problem: "the JSON text is not valid UTF-8" };
    text = Buffer.from(source.buffer, source.byteOffset, source.byteLength).toString("utf8");
  }
  if (text.startsWith("\uFEFF")) return { problem: "the JSON text begins with a byte order mark" };
  // Before it is parsed: a megabyte of brackets becomes objects of many times its size.
  const ambiguity = findAmbiguity(text);
  if (ambiguity?.isTooDeep === true) return { problem: ambiguity.problem };
  try {
    const value: unknown = JSON.parse(text);
    return ambiguity === undefined ? { value } : { problem: ambiguity.problem };
  } catch (error) {
    return { problem: `this is no JSON text: ${(error as Error).message}` };
  }
}
