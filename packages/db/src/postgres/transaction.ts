import type { Kysely } from "kysely";
import type { Transaction } from "../stores/database.ts";
import type { Tables } from "./tables.ts";

/** Wraps the query builder of a running transaction into the handle that features pass around. */
export function wrapTransaction(sql: Kysely<Tables>): Transaction {
  return sql as unknown as Transaction;
}

/** The query builder inside a handle; the handle must come from this package's database. */
export function sqlOf(tx: Transaction): Kysely<Tables> {
  return tx as unknown as Kysely<Tables>;
}
