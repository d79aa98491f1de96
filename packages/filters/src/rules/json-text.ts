/** Deepest nesting of a JSON text that is judged. */
const MAX_DEPTH = 64;

/** A JSON text that every parser reads in the same way, or why this one is refused. */
export type StrictJson = { readonly value: unknown } | { readonly problem: string };

/**
 * Reads JSON (RFC 8259) and refuses what two parsers could read in two ways: invalid UTF-8, a byte order mark, a field
 * given twice (also under another letter case), numbers that a double does not hold exactly as written, lone surrogates,
 * and nesting deeper than 64 levels.
 */
export function parseStrictJson(source: Uint8Array | string): StrictJson {
  let text: string;
  try {
    text = typeof source === "string" ? source : new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(source);
  } catch {
    return { problem: "the JSON text is not valid UTF-8" };
  }
  if (text.startsWith("\uFEFF")) return { problem: "the JSON text begins with a byte order mark" };
  const deep = findTooDeep(text);
  if (deep) return { problem: `the JSON text is nested deeper than ${MAX_DEPTH} levels` };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { problem: `this is no JSON text: ${(error as Error).message}` };
  }
  const problem = findAmbiguity(text);
  return problem === undefined ? { value } : { problem };
}

/** Before parsing: `JSON.parse` calls itself for each level. Only strings can hold brackets that don't count. */
function findTooDeep(text: string): boolean {
  let depth = 0;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/gs)) {
    if (token === "[" || token === "{") depth += 1;
    else if (token === "]" || token === "}") depth -= 1;
    if (depth > MAX_DEPTH) return true;
  }
  return false;
}

/** Looks at the tokens of a text that is known to be JSON. */
function findAmbiguity(text: string): string | undefined {
  const names: (Set<string> | undefined)[] = [];
  const tokens = text.matchAll(/("(?:[^"\\]|\\.)*")\s*(:?)|(-?\d[\d.eE+-]*)|([[\]{}])/gs);
  for (const [, quoted, colon, number, bracket] of tokens) {
    if (bracket === "{") names.push(new Set());
    else if (bracket === "[") names.push(undefined);
    else if (bracket !== undefined) names.pop();
    else if (number !== undefined) {
      if (!isExact(number)) return `the number ${number.slice(0, 40)} can't be held exactly`;
    } else if (quoted !== undefined) {
      const decoded = JSON.parse(quoted) as string;
      if (/\p{Surrogate}/u.test(decoded)) return "a text in the JSON holds half a surrogate pair";
      if (colon !== ":") continue;
      const folded = decoded.toLowerCase();
      const known = names.at(-1);
      if (known?.has(folded) === true) return `the field ${JSON.stringify(decoded.slice(0, 40))} is given twice`;
      known?.add(folded);
    }
  }
  return undefined;
}

/** Whether a double, written again, means the same decimal number. */
function isExact(text: string): boolean {
  const value = Number(text);
  if (!Number.isFinite(value)) return false;
  return normalise(text) === normalise(String(value));
}

/** Sign, digits without zeros at the ends, and the exponent of the last digit. */
function normalise(text: string): string {
  const [mantissa = "", exponent = "0"] = text.toLowerCase().split("e");
  const sign = mantissa.startsWith("-") ? "-" : "";
  const [whole = "", fraction = ""] = mantissa.replace("-", "").split(".");
  const digits = (whole + fraction).replace(/^0+/, "");
  const kept = digits.replace(/0+$/, "");
  if (kept === "") return "0";
  return `${sign}${kept}e${Number(exponent) - fraction.length + (digits.length - kept.length)}`;
}
