import type { Clamp, JsonSchema } from "@hardshare/protocol";
import { Ajv2020, type ErrorObject, type ValidateFunction } from "ajv/dist/2020.js";
import { compilePlace, findPlaces, type JsonPlace } from "./json-place.ts";

/** What a condition says about a value: what passes (brought into range, with a word on what was changed), or why it does not. */
export type ValueVerdict = { readonly value: unknown; readonly changed?: string | undefined } | { readonly problem: string };

/** A condition on a JSON value: a schema that it must fit, then numbers that are brought into range. */
export interface ValueCondition {
  /** @param value may be changed in place */
  check(value: unknown): ValueVerdict;
}

/**
 * Compiles a schema and ranges, once.
 * @returns the condition, or what is wrong with the schema
 */
export function compileValueCondition(schema: JsonSchema, clamp: Clamp = {}): ValueCondition | { readonly problem: string } {
  const ajv = new Ajv2020({ strict: true, strictRequired: false, allErrors: false, validateFormats: false });
  let validate: ValidateFunction;
  try {
    validate = ajv.compile(schema);
  } catch (error) {
    return { problem: `expected a JSON Schema (draft 2020-12): ${(error as Error).message}` };
  }
  const ranges = Object.entries(clamp).map(([source, [least, most]]) => ({ source, place: compilePlace(source), least, most }));
  return {
    check(value) {
      if (!validate(value)) return { problem: describe(validate.errors?.[0]) };
      let changed: string | undefined;
      for (const { source, place, least, most } of ranges) {
        const result = bringIntoRange(value, { place, least, most });
        if (result === "not a number") return { problem: `${source}: expected a number, because it is brought into range` };
        if (result === "changed") changed = `${changed === undefined ? "" : `${changed}; `}${source} brought into ${least} to ${most}`;
      }
      return { value, changed };
    },
  };
}

function bringIntoRange(
  value: unknown,
  { place, least, most }: { place: JsonPlace; least: number; most: number },
): "as it was" | "changed" | "not a number" {
  let result: "as it was" | "changed" = "as it was";
  for (const { holder, key } of findPlaces(value, place)) {
    const number = holder[key];
    if (typeof number !== "number") return "not a number";
    const inRange = Math.min(most, Math.max(least, number));
    if (inRange === number) continue;
    holder[key] = inRange;
    result = "changed";
  }
  return result;
}

function describe(error: ErrorObject | undefined): string {
  if (error === undefined) return "the message does not fit the owner's schema";
  const field = error.instancePath === "" ? "the value" : error.instancePath;
  const name = error.keyword === "additionalProperties" ? `: ${JSON.stringify(error.params["additionalProperty"])}` : "";
  return `${field} ${error.message ?? "does not fit the owner's schema"}${name}`;
}
