/**
 * The store in memory, for simulations and tests: all of `stores/` with the rules of the real schema, run by the
 * shared suite that PostgreSQL runs too. No I/O, clock or randomness, so that a seed gives the same run again.
 * Transactions go one after the other: what may happen between the statements of two that overlap in PostgreSQL
 * (READ COMMITTED, row locks, deadlocks) does not happen here. Production never loads it (architecture.json).
 */
export type { MemoryDatabase, MemoryDatabaseOptions, StorePoint } from "./memory-database.ts";
export { MemoryStore, type StoreSnapshot } from "./memory-store.ts";
