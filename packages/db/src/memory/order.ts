import type { Page } from "../stores/paging.ts";

type Key = string | number | Date;
/** The value that counts, or, in brackets, one that counts the other way round. */
type Keys = (Key | { descending: Key })[];

/** Sorts by several keys: text as PostgreSQL's locale C does, by its bytes in UTF-8. */
export function sortBy<Item>(items: readonly Item[], keysOf: (item: Item) => Keys): Item[] {
  return items
    .map((item) => ({ item, keys: keysOf(item) }))
    .sort((a, b) => {
      for (const [index, key] of a.keys.entries()) {
        const difference = compareKeys(key, b.keys[index] ?? key);
        if (difference !== 0) return difference;
      }
      return 0;
    })
    .map(({ item }) => item);
}

function compareKeys(a: Keys[number], b: Keys[number]): number {
  if (typeof a === "object" && "descending" in a)
    return typeof b === "object" && "descending" in b ? compareKeys(b.descending, a.descending) : 0;
  if (typeof a === "string" && typeof b === "string") return Buffer.compare(Buffer.from(a), Buffer.from(b));
  return Number(a) < Number(b) ? -1 : Number(a) > Number(b) ? 1 : 0;
}

/** The part of a sorted list that is wanted; all without a page. */
export function pageOf<Item>(sorted: readonly Item[], page: Page | undefined): Item[] {
  if (page === undefined || page.maxPerPage === 0) return [...sorted];
  const start = (page.page - 1) * page.maxPerPage;
  return sorted.slice(start, start + page.maxPerPage);
}
