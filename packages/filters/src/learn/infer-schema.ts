import { groupBy } from "./group-by.ts";

/** A JSON Schema, as it is written into a rules file. */
export type ProposedSchema = boolean | { [keyword: string]: unknown };

/** Most texts that are listed one by one. */
const MAX_LISTED_TEXTS = 10;
/** Longest text that is listed. */
const MAX_LISTED_CHARS = 100;
/** Longest text for which a pattern is proposed: longer ones are held against none. */
const MAX_PATTERN_CHARS = 1024;
/** Levels of a value that are described; what lies deeper may be anything. */
const MAX_LEVELS = 12;

/**
 * The narrowest simple schema that all these values fit: ranges from the smallest to the largest number, the texts that
 * were seen, the fields that were seen and no others.
 */
export function inferSchema(values: readonly unknown[], level = 0): ProposedSchema {
  if (level > MAX_LEVELS) return true;
  const byType = groupBy(values, typeOf);
  const schemas = [...byType].map(([type, each]) => inferOfType(type, each, level));
  return schemas.length === 1 ? (schemas[0] ?? true) : { anyOf: schemas };
}

type JsonType = "null" | "boolean" | "number" | "string" | "array" | "object";

function typeOf(value: unknown): JsonType {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : (typeof value as JsonType);
}

function inferOfType(type: JsonType, values: readonly unknown[], level: number): ProposedSchema {
  if (type === "number") return inferNumber(values as readonly number[]);
  if (type === "string") return inferText(values as readonly string[]);
  if (type === "array") return inferArray(values as readonly unknown[][], level);
  if (type === "object") return inferObject(values as readonly Record<string, unknown>[], level);
  if (type === "boolean") return { type, enum: [...new Set(values)] };
  return { type };
}

/** A number from the smallest to the largest seen. */
export function inferNumber(values: readonly number[]): ProposedSchema {
  const minimum = values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY);
  const maximum = values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  return { type: values.every(Number.isInteger) ? "integer" : "number", minimum, maximum };
}

/** The texts seen, or, when there are many, texts of the same characters that are no longer. */
export function inferText(values: readonly string[]): ProposedSchema {
  const different = [...new Set(values)];
  const maxLength = Math.max(...different.map((text) => Array.from(text).length));
  if (different.length <= MAX_LISTED_TEXTS && maxLength <= MAX_LISTED_CHARS) return { type: "string", enum: different.toSorted() };
  if (different.some((text) => text.length > MAX_PATTERN_CHARS)) return { type: "string", maxLength };
  const pattern = ["^[0-9]*$", "^[0-9A-Fa-f-]*$", "^[0-9A-Za-z_.-]*$", "^[ -~]*$", "^[^\\p{Cc}]*$"].find((source) =>
    different.every((text) => new RegExp(source, "u").test(text)),
  );
  return { type: "string", maxLength, ...(pattern === undefined ? {} : { pattern }) };
}

function inferArray(values: readonly unknown[][], level: number): ProposedSchema {
  const elements = values.flat(1);
  const maxItems = values.reduce((most, { length }) => Math.max(most, length), 0);
  return { type: "array", maxItems, ...(elements.length === 0 ? {} : { items: inferSchema(elements, level + 1) }) };
}

function inferObject(values: readonly Record<string, unknown>[], level: number): ProposedSchema {
  const names = [...new Set(values.flatMap((value) => Object.keys(value)))];
  const required = names.filter((name) => values.every((value) => Object.hasOwn(value, name)));
  const properties = names.map((name) => {
    const seen = values.filter((value) => Object.hasOwn(value, name)).map((value) => value[name]);
    return [name, inferSchema(seen, level + 1)] as const;
  });
  return {
    type: "object",
    additionalProperties: false,
    ...(required.length === 0 ? {} : { required }),
    ...(properties.length === 0 ? {} : { properties: Object.fromEntries(properties) }),
  };
}
