import { foldName } from "./fold-name.ts";

/** A place in a JSON value, compiled: names of fields and elements, and `*` for each of them. */
export type JsonPlace = readonly string[];

/** The name of an element of an array, as RFC 6901 writes it. */
const IS_INDEX = /^(?:0|[1-9]\d*)$/;

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

/**
 * A field on the way to a place, or there, that a device could take for the one that is meant, because its name differs
 * in letter case alone: what is said of the place would not hold for it.
 */
export function findLookalike(root: unknown, place: JsonPlace): string | undefined {
  const [first, ...rest] = place;
  if (first === undefined || typeof root !== "object" || root === null) return undefined;
  const holder = root as Record<string, unknown>;
  if (first === "*") {
    for (const each of Object.values(holder)) {
      const found = findLookalike(each, rest);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  if (!Array.isArray(holder)) {
    const folded = foldName(first);
    const found = Object.keys(holder).find((key) => key !== first && foldName(key) === folded);
    if (found !== undefined) return found;
  }
  return Object.hasOwn(holder, first) ? findLookalike(holder[first], rest) : undefined;
}

/**
 * Whether something on the way to a place is a text, a number or a truth value, or a list where the place names a field: a
 * device may find there what nobody saw, as ROS takes a text in base64 for an array of bytes, and others take a list of
 * messages for each of them. Null holds nothing.
 */
export function hasDeadEnd(root: unknown, place: JsonPlace): boolean {
  const [first, ...rest] = place;
  if (first === undefined || root === null || root === undefined) return false;
  if (typeof root !== "object") return true;
  if (Array.isArray(root) && first !== "*" && !IS_INDEX.test(first)) return true;
  const holder = root as Record<string, unknown>;
  const keys = first === "*" ? Object.keys(holder) : Object.hasOwn(holder, first) ? [first] : [];
  return keys.some((key) => hasDeadEnd(holder[key], rest));
}

/** Takes away what is at these places. @returns how many were removed */
export function removePlaces(root: unknown, places: readonly JsonPlace[]): number {
  let removed = 0;
  for (const place of places) {
    for (const { holder, key } of [...findPlaces(root, place)].toReversed()) {
      if (Array.isArray(holder)) holder.splice(Number(key), 1);
      else delete holder[key];
      removed += 1;
    }
  }
  return removed;
}
