import type { JsonSchema } from "@hardshare/protocol";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";

/**
 * Longest text that is held against a `pattern`: the expression is the owner's, the text is not, and an expression may
 * take time that grows with the square of the text's length.
 */
export const MAX_MATCHED_CHARS = 1024;
/** Most elements that `uniqueItems` may compare, each with each. */
const MAX_UNIQUE_ITEMS = 1000;

const DRAFT = "https://json-schema.org/draft/2020-12/schema";

/** What is wrong with a schema, and at which of its fields. */
export interface SchemaProblem {
  readonly problem: string;
  readonly path: readonly string[];
}

/** Thrown while a value is judged: it must not pass, whatever `not` or `if` stand around the pattern. */
export class TextTooLong extends Error {}

/** Whether a schema is one of draft 2020-12. Made once, because that takes longer than all the rest of a start. */
const fitsDraft = new Ajv2020().getSchema(DRAFT) as ValidateFunction;

/**
 * Compiles a JSON Schema (draft 2020-12), strictly: an unknown keyword, a range without `type: number`, a `format` (which
 * nothing here checks) are mistakes.
 */
export function compileSchema(schema: JsonSchema): ValidateFunction | SchemaProblem {
  if (!fitsDraft(schema)) {
    const [deepest] = (fitsDraft.errors ?? []).toSorted((a, b) => b.instancePath.length - a.instancePath.length);
    return refuse(deepest?.message ?? "another form", readPointer(deepest?.instancePath ?? ""));
  }
  const unfit = findUnfit(schema, []);
  if (unfit !== undefined) return unfit;
  const ajv = new Ajv2020({
    strict: true,
    strictRequired: false,
    allowUnionTypes: true,
    ownProperties: true,
    meta: false,
    validateSchema: false,
    logger: false,
    code: { regExp: Object.assign((source: string, flags: string) => new BoundedExpression(source, flags), { code: "" }) },
  });
  try {
    return ajv.compile(schema);
  } catch (error) {
    const { message } = error as Error;
    return refuse(
      message.replace(/^strict mode: /, "").replace(/ at (?:path )?"#.*$/, ""),
      /"#(\/[^"]*)?"/.test(message) ? readPointer(/"#(\/[^"]*)?"/.exec(message)?.[1] ?? "") : findNamed(schema, message),
    );
  }
}

function refuse(what: string, path: readonly string[]): SchemaProblem {
  return { problem: `expected a JSON Schema (draft 2020-12): ${what}`, path };
}

/** Each of its instances is told apart by the text of the expression, as the compiler wants it. */
class BoundedExpression extends RegExp {
  override test(text: string): boolean {
    if (text.length > MAX_MATCHED_CHARS) throw new TextTooLong();
    return super.test(text);
  }
}

/** A keyword that makes judging costly, means something else than in this draft, or does something else than judging. */
function findUnfit(schema: unknown, path: readonly string[]): SchemaProblem | undefined {
  if (typeof schema !== "object" || schema === null) return undefined;
  const { uniqueItems, maxItems, $async, $schema } = schema as Record<string, unknown>;
  if (uniqueItems === true && !(typeof maxItems === "number" && maxItems <= MAX_UNIQUE_ITEMS)) {
    return refuse(`with uniqueItems, maxItems must be at most ${MAX_UNIQUE_ITEMS}, because each is compared with each`, path);
  }
  if (typeof $schema === "string" && $schema.replace(/#$/, "") !== DRAFT) return refuse(`${DRAFT}, or no $schema`, [...path, "$schema"]);
  if ($async === true) return refuse("without $async", [...path, "$async"]);
  for (const [key, value] of Object.entries(schema)) {
    const found = findUnfit(value, [...path, key]);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The place of a keyword, or of an expression, that a message of the compiler names. */
function findNamed(schema: unknown, message: string): readonly string[] {
  const keyword = /keyword: "(.*)"/.exec(message)?.[1];
  const pattern = /regular expression: \/(.*)\/[a-z]*:/s.exec(message)?.[1];
  const search = (value: unknown, path: readonly string[]): readonly string[] | undefined => {
    if (typeof value !== "object" || value === null) return undefined;
    for (const [key, each] of Object.entries(value)) {
      const here = [...path, key];
      if (key === keyword || key === pattern || (pattern !== undefined && key === "pattern" && each === pattern)) return here;
      const found = search(each, here);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return search(schema, []) ?? [];
}

function readPointer(pointer: string): string[] {
  return pointer
    .split("/")
    .slice(1)
    .map((part) => decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~"));
}
