import { AppError } from "@hardshare/protocol";
import pg from "pg";
import type { Connection } from "../connection.ts";
import { clientConfig } from "../postgres/client-config.ts";
import { toStoreError } from "../postgres/store-errors.ts";
import { BACKED_UP_TABLES } from "./backed-up-tables.ts";

/** One line of a dump: a row as PostgreSQL's `row_to_json` writes it. */
export interface DumpedRow {
  table: string;
  row: unknown;
}

/** Rows read at a time: memory stays flat however long the history is. */
const BATCH = 1000;

/**
 * Reads the whole database as it is at one moment, while others write.
 * @returns the steps of its schema, and its rows
 * @throws AppError `store_unavailable`, `not_found` when hardshare has never been here
 */
export async function dumpDatabase(
  connection: Connection,
): Promise<{ migrations: number[]; rows: AsyncIterable<DumpedRow> } & AsyncDisposable> {
  const client = new pg.Client(clientConfig(connection));
  client.on("error", () => {}); // the query under way fails too, and says so
  try {
    await client.connect();
    await client.query("begin isolation level repeatable read read only");
    const found = await client.query<{ number: number }>("select number from schema_migrations order by number");
    const migrations = found.rows.map(({ number }) => number);
    return { migrations, rows: readRows(client), [Symbol.asyncDispose]: () => client.end() };
  } catch (error) {
    await client.end();
    if ((error as { code?: string }).code === UNDEFINED_TABLE) {
      throw new AppError("not_found", "there is nothing to back up: no server has used this database yet", { cause: error });
    }
    throw toStoreError(error);
  }
}

/** SQLSTATE undefined_table. */
const UNDEFINED_TABLE = "42P01";

async function* readRows(client: pg.Client): AsyncGenerator<DumpedRow> {
  try {
    for (const table of BACKED_UP_TABLES) {
      await client.query(`declare dumped no scroll cursor for select row_to_json(t) as row from ${table} t`);
      for (;;) {
        const { rows } = await client.query<{ row: unknown }>(`fetch ${BATCH} from dumped`);
        for (const { row } of rows) yield { table, row };
        if (rows.length < BATCH) break;
      }
      await client.query("close dumped");
    }
  } catch (error) {
    throw toStoreError(error);
  }
}
