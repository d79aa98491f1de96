import type { Clamp, JsonSchema } from "@hardshare/protocol";
import type { ErrorObject } from "ajv/dist/2020.js";
import { compileSchema, MAX_MATCHED_CHARS, type SchemaProblem, TextTooLong } from "./json-schema.ts";
import { compilePlace, findLookalike, findPlaces, hasDeadEnd, type JsonPlace } from "./json-place.ts";
import { DeclaredNames } from "./declared-names.ts";
import { findUnknownField } from "./schema-fields.ts";

/** What a condition says about a value: what passes (brought into range, with a word on what was changed), or why it does not. */
type ValueVerdict = { readonly value: unknown; readonly changed?: string | undefined } | { readonly problem: string };

/** A condition on a JSON value: a schema that it must fit, then numbers that are brought into range. */
export interface ValueCondition {
  /** @param value may be changed in place */
  check(value: unknown): ValueVerdict;
}

/** What is wrong with a condition, and at which of its fields: in the schema or in the ranges. */
export interface ConditionProblem extends SchemaProblem {
  readonly of: "schema" | "clamp";
}

interface ClampedPlace {
  readonly source: string;
  readonly place: JsonPlace;
  readonly least: number;
  readonly most: number;
}

/**
 * Compiles a schema and ranges, once.
 * @returns the condition, or what is wrong with it
 */
export function compileValueCondition(schema: JsonSchema, clamp: Clamp = {}): ValueCondition | ConditionProblem {
  const validate = compileSchema(schema);
  if ("problem" in validate) return { ...validate, of: "schema" };
  const ranges = Object.entries(clamp).map(([source, [least, most]]) => ({ source, place: compilePlace(source), least, most }));
  for (const { source, place } of ranges) {
    const unknown = findUnknownField(schema, place);
    if (unknown !== undefined) return { of: "clamp", problem: `expected a field of the schema, which has no ${unknown}`, path: [source] };
  }
  const names = new DeclaredNames(schema);
  const fits = (value: unknown): string | undefined => {
    try {
      return validate(value) ? undefined : describe(validate.errors?.[0]);
    } catch (error) {
      if (error instanceof TextTooLong)
        return `a text has more than ${MAX_MATCHED_CHARS} characters, and the owner's schema has a pattern for it`;
      throw error;
    }
  };
  return {
    check(value) {
      const problem = fits(value) ?? names.findLookalike(value) ?? findUnclampable(value, ranges);
      if (problem !== undefined) return { problem };
      const changed = ranges.filter((range) => bringIntoRange(value, range));
      if (changed.length === 0) return { value };
      const words = changed.map(({ source, least, most }) => `${source} brought into ${least} to ${most}`).join("; ");
      // The ranges may contradict the schema (an integer, 0.5 to 1.5), or each other at places that overlap.
      const afterwards = ranges.find((range) => !isInRange(value, range));
      const misfit = afterwards === undefined ? fits(value) : `${afterwards.source} is in no range that the owner's rule leaves`;
      return misfit === undefined ? { value, changed: words } : { problem: `${words}: then ${misfit}` };
    },
  };
}

/** Why a number that has a range can't be brought into it. */
function findUnclampable(value: unknown, ranges: readonly ClampedPlace[]): string | undefined {
  for (const { source, place } of ranges) {
    if (hasDeadEnd(value, place))
      return `${source}: expected the objects and arrays around it that the rule names, because it is brought into range`;
    for (const { holder, key } of findPlaces(value, place)) {
      if (typeof holder[key] !== "number") return `${source}: expected a number, because it is brought into range`;
    }
    const lookalike = findLookalike(value, place);
    if (lookalike !== undefined) return `${source}: expected this spelling, not ${JSON.stringify(lookalike)}`;
  }
  return undefined;
}

/** @returns whether a number was changed */
function bringIntoRange(value: unknown, { place, least, most }: ClampedPlace): boolean {
  let isChanged = false;
  for (const { holder, key } of findPlaces(value, place)) {
    const number = holder[key] as number;
    const inRange = Math.min(most, Math.max(least, number));
    if (inRange === number) continue;
    holder[key] = inRange;
    isChanged = true;
  }
  return isChanged;
}

function isInRange(value: unknown, { place, least, most }: ClampedPlace): boolean {
  for (const { holder, key } of findPlaces(value, place)) {
    const number = holder[key] as number;
    if (!(number >= least && number <= most)) return false;
  }
  return true;
}

function describe(error: ErrorObject | undefined): string {
  if (error === undefined) return "the message does not fit the owner's schema";
  const field = error.instancePath === "" ? "the value" : error.instancePath;
  const { additionalProperty, unevaluatedProperty } = error.params as { additionalProperty?: string; unevaluatedProperty?: string };
  const name = additionalProperty ?? unevaluatedProperty;
  const which = name === undefined ? "" : `: ${JSON.stringify(name.slice(0, 40))}`;
  return `${field} ${error.message ?? "does not fit the owner's schema"}${which}`;
}
