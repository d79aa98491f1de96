import { AppError } from "@hardshare/protocol";
import type { ClientBase, Pool } from "pg";
import { firstSchema } from "./0001-first-schema.ts";
import { estopLockouts } from "./0002-estop-lockouts.ts";
import { healthAndHooks } from "./0003-health-and-hooks.ts";

/** One forward step of the schema; never changed once it was released. */
export interface Migration {
  number: number;
  name: string;
  sql: string;
}

/** All steps, in order. To change the schema, add one at the end. */
export const MIGRATIONS: readonly Migration[] = [firstSchema, estopLockouts, healthAndHooks];

/** Key of the advisory lock under which one replica at a time migrates; any number that nothing else uses. */
const MIGRATION_LOCK = 7_283_114;

/**
 * Brings the schema up to date, in one transaction: all missing steps or none.
 * @returns numbers of the steps that were done now
 * @throws AppError `version_mismatch` when a newer hardshare has been here
 */
export async function migrate(pool: Pool, at: Date, migrations: readonly Migration[] = MIGRATIONS): Promise<number[]> {
  const client = await pool.connect();
  try {
    await client.query("begin");
    const done = await migrateClient(client, at, migrations);
    await client.query("commit");
    client.release();
    return done;
  } catch (error) {
    client.release(true); // closing the connection undoes what was begun
    throw error;
  }
}

/** The same within a transaction of the caller's. */
export async function migrateClient(client: ClientBase, at: Date, migrations: readonly Migration[]): Promise<number[]> {
  await client.query("select pg_advisory_xact_lock($1)", [MIGRATION_LOCK]);
  await client.query(
    "create table if not exists schema_migrations (number integer primary key, name text not null, applied_at timestamptz not null)",
  );
  const rows = await client.query<{ number: number }>("select number from schema_migrations");
  const done = new Set(rows.rows.map((row) => row.number));
  refuseNewerSchema(done, migrations);
  const missing = migrations.filter((migration) => !done.has(migration.number));
  for (const { number, name, sql } of missing) {
    await client.query(sql);
    await client.query("insert into schema_migrations values ($1, $2, $3)", [number, name, at]);
  }
  return missing.map((migration) => migration.number);
}

function refuseNewerSchema(done: ReadonlySet<number>, migrations: readonly Migration[]): void {
  const newest = Math.max(...migrations.map((migration) => migration.number));
  const foreign = [...done].filter((number) => number > newest);
  if (foreign.length === 0) return;
  throw new AppError(
    "version_mismatch",
    `The database was upgraded by a newer hardshare (its schema has step ${Math.max(...foreign)}, this one knows ${newest}). Use that version or a newer one`,
  );
}
