import { AppError } from "@hardshare/protocol";
import pg from "pg";
import type { Connection } from "../connection.ts";
import { MIGRATIONS, migrateClient } from "../migrations/migrate.ts";
import { clientConfig } from "../postgres/client-config.ts";
import { toStoreError } from "../postgres/store-errors.ts";
import { BACKED_UP_TABLES } from "./backed-up-tables.ts";
import type { DumpedRow } from "./dump-database.ts";

/**
 * Fills an empty database with what `dumpDatabase` read: all of it, or nothing. What newer steps of the schema change is
 * done when a server starts on it.
 * @param dump.migrations steps of the schema that the rows are of
 * @returns the number of rows
 * @throws AppError `conflict` when the database is not empty, `version_mismatch` when the rows are of a newer hardshare,
 *   `bad_input` when a row does not fit, and what `rows` throws
 */
export async function restoreDatabase(
  connection: Connection,
  dump: { migrations: readonly number[]; rows: AsyncIterable<DumpedRow>; at: Date },
): Promise<number> {
  const steps = dump.migrations.map((number) => MIGRATIONS.find((migration) => migration.number === number));
  if (steps.some((step) => step === undefined)) {
    throw new AppError("version_mismatch", "this backup was made by a newer hardshare: restore it with that version or a newer one");
  }
  const client = new pg.Client(clientConfig(connection));
  client.on("error", () => {}); // the query under way fails too, and says so
  await client.connect();
  try {
    await client.query("begin");
    const found = await client.query<{ known: string | null }>("select to_regclass('schema_migrations') as known");
    if (found.rows[0]?.known !== null) {
      throw new AppError("conflict", "the database is not empty: restore into a new data folder, or into an empty database");
    }
    await migrateClient(
      client,
      dump.at,
      steps.filter((step) => step !== undefined),
    );
    let count = 0;
    for await (const { table, row } of dump.rows) {
      if (!(BACKED_UP_TABLES as readonly string[]).includes(table))
        throw new AppError("bad_input", `the backup has a row of an unknown table: ${table}`);
      await client.query(`insert into ${table} overriding system value select * from json_populate_record(null::${table}, $1)`, [
        JSON.stringify(row),
      ]);
      count += 1;
    }
    await client.query("select setval(pg_get_serial_sequence('events', 'id'), coalesce((select max(id) from events), 0) + 1, false)");
    await client.query("commit");
    return count;
  } catch (error) {
    throw error instanceof AppError ? error : toStoreError(error);
  } finally {
    await client.end(); // undoes what was not committed
  }
}
