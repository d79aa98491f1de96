import type { JsonSchema } from "@hardshare/protocol";
import type { JsonPlace } from "./json-place.ts";

/** Keywords by which a schema may have more fields than its `properties`. */
const ELSEWHERE = ["$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "patternProperties", "dependentSchemas"];

/**
 * A name in a place that no value which fits the schema can have: most likely misspelt.
 * @returns undefined also when that can't be told
 */
export function findUnknownField(schema: JsonSchema, place: JsonPlace): string | undefined {
  let current: unknown = schema;
  for (const name of place) {
    if (typeof current !== "object" || current === null) return undefined;
    const { properties, additionalProperties, items } = current as Record<string, unknown>;
    if (name === "*" || ELSEWHERE.some((keyword) => Object.hasOwn(current as object, keyword))) return undefined;
    if (typeof properties === "object" && properties !== null && Object.hasOwn(properties, name)) {
      current = (properties as Record<string, unknown>)[name];
    } else if (/^\d+$/.test(name) && items !== undefined) {
      current = items;
    } else {
      return additionalProperties === false ? JSON.stringify(name) : undefined;
    }
  }
  return undefined;
}
