import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestCluster, type TestCluster } from "../testing.ts";
import { BACKED_UP_TABLES, LEFT_OUT_TABLES } from "./backed-up-tables.ts";

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster?.[Symbol.asyncDispose]());

test("a backup knows of every table of the schema", async () => {
  const client = new pg.Client(cluster.connection);
  await client.connect();
  const found = await client.query<{ name: string }>(
    "select table_name as name from information_schema.tables where table_schema = 'public'",
  );
  await client.end();
  expect(found.rows.map(({ name }) => name).sort()).toEqual([...BACKED_UP_TABLES, ...LEFT_OUT_TABLES].sort());
});
