/** A place in a JSON value, compiled: names of fields and elements, and `*` for each of them. */
export type JsonPlace = readonly string[];

/** Reads the name of a field, or a JSON pointer (RFC 6901) in which `*` stands for each element or field. */
export function compilePlace(source: string): JsonPlace {
  if (!source.startsWith("/")) return [source];
  return source
    .slice(1)
    .split("/")
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** What is at a place, each as the object or array that holds it, and the key there. */
export function* findPlaces(root: unknown, place: JsonPlace): Iterable<{ holder: Record<string, unknown>; key: string }> {
  const [first, ...rest] = place;
  if (first === undefined || typeof root !== "object" || root === null) return;
  const holder = root as Record<string, unknown>;
  for (const key of first === "*" ? Object.keys(holder) : Object.hasOwn(holder, first) ? [first] : []) {
    if (rest.length === 0) yield { holder, key };
    else yield* findPlaces(holder[key], rest);
  }
}
