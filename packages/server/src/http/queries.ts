import * as z from "zod";

/** A flag in a query string: there (empty or anything else) means yes; `f`, `false` and `0` mean no (rerobots-http-api.md §2.1). */
export const QueryFlag = z
  .union([z.string(), z.array(z.string())])
  .optional()
  .transform((value) => {
    const last = Array.isArray(value) ? value.at(-1) : value;
    return last !== undefined && !["f", "false", "0"].includes(last.toLowerCase());
  });

/** A whole number in a query string, at least `minimum`. */
export function queryInteger(minimum: number, fallback: number) {
  return z
    .string()
    .regex(/^\d{1,9}$/, `expected a whole number from ${minimum}`)
    .transform(Number)
    .pipe(z.int().min(minimum, `expected a whole number from ${minimum}`))
    .optional()
    .transform((value) => value ?? fallback);
}

/** Query fields of every list: `page` counts from 1, `max_per_page` 0 means all. */
export const PagingFields = { page: queryInteger(1, 1), max_per_page: queryInteger(0, 0) };

/** How many pages a list of `total` items has; at least 1. */
export function pageCount(total: number, maxPerPage: number): number {
  return maxPerPage === 0 ? 1 : Math.max(1, Math.ceil(total / maxPerPage));
}
