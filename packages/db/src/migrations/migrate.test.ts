import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ConnectionParts } from "../connection.ts";
import { type TestCluster, startTestCluster } from "../testing.ts";
import { MIGRATIONS, migrate } from "./migrate.ts";

const AT = new Date("2026-03-01T12:00:00.000Z");
let cluster: TestCluster;

beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster?.[Symbol.asyncDispose]());

/** A pool on a new, empty database. */
async function emptyDatabase(name: string): Promise<pg.Pool & AsyncDisposable> {
  const admin = new pg.Client({ ...cluster.connection, database: "postgres" });
  await admin.connect();
  await admin.query(`create database ${name}`);
  await admin.end();
  const connection: ConnectionParts = { ...cluster.connection, database: name };
  const pool = new pg.Pool(connection);
  // A connection that a failure closes may outlive the pool by a moment, and then ends with the cluster.
  pool.on("connect", (client) => client.on("error", () => {})).on("error", () => {});
  return Object.assign(pool, { [Symbol.asyncDispose]: () => pool.end() });
}

test("from nothing to the newest schema, once, however many replicas start", async () => {
  await using pool = await emptyDatabase("once");
  const done = await Promise.all(Array.from({ length: 5 }, () => migrate(pool, AT)));
  expect(done.flat()).toEqual(MIGRATIONS.map((migration) => migration.number));
  expect(await migrate(pool, AT)).toEqual([]);
  const recorded = await pool.query("select * from schema_migrations");
  expect(recorded.rows).toEqual(MIGRATIONS.map(({ number, name }) => ({ number, name, applied_at: AT })));
});

test("steps are numbered 1, 2, 3, … without a gap", () => {
  expect(MIGRATIONS.map((migration) => migration.number)).toEqual(MIGRATIONS.map((_, index) => index + 1));
});

test("a step that fails leaves the schema as it was", async () => {
  await using pool = await emptyDatabase("failing");
  const steps = [
    { number: 1, name: "good", sql: "create table good (id integer)" },
    { number: 2, name: "bad", sql: "create table bad (id nonsense)" },
  ];
  await expect(migrate(pool, AT, steps)).rejects.toThrow("nonsense");
  expect((await pool.query("select to_regclass('good') as good")).rows).toEqual([{ good: null }]);
  expect(await migrate(pool, AT, steps.slice(0, 1))).toEqual([1]);
});

test("a database of a newer hardshare is refused, and not touched", async () => {
  await using pool = await emptyDatabase("newer");
  await migrate(pool, AT, [...MIGRATIONS, { number: 99, name: "future", sql: "select 1" }]);
  await expect(migrate(pool, AT)).rejects.toMatchObject({ code: "version_mismatch" });
});
