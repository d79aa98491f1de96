/**
 * Operations in a text, as the real rosbridge reads it: the whole as JSON, else whatever in it reads as an object with an
 * `op`, wherever it begins and ends. Python's JSON also takes NaN and Infinity, and the last of two fields.
 */
export function readLoosely(text: string): Record<string, unknown>[] {
  const whole = readObject(text);
  if (whole !== undefined) return [whole];
  const found: Record<string, unknown>[] = [];
  let from = 0;
  let tries = 0;
  for (let start = text.indexOf("{"); start >= 0; start = text.indexOf("{", from)) {
    from = start + 1;
    for (let end = text.indexOf("}", start); end >= 0 && tries < MAX_TRIES; end = text.indexOf("}", end + 1)) {
      tries += 1;
      const operation = readObject(text.slice(start, end + 1));
      if (operation?.["op"] === undefined) continue;
      found.push(operation);
      from = end + 1;
      break;
    }
  }
  return found;
}

/** Pieces of a text that are tried. */
const MAX_TRIES = 2000;

function readObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text.replaceAll(/-?\b(?:NaN|Infinity)\b/g, "null"));
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
