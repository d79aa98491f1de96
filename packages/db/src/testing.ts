/**
 * Databases for tests: one private cluster for many tests, and for each test a database of its own, copied from a
 * template with the schema in some 50 ms. Imported by tests and by the testkit only.
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, type Logger, type Random, silentLogger, systemClock, systemRandom } from "@hardshare/runtime";
import pg from "pg";
import { startPrivateCluster } from "./cluster/private-cluster.ts";
import type { ConnectionParts } from "./connection.ts";
import { connectDatabase } from "./postgres/postgres-database.ts";
import type { Database } from "./stores/database.ts";

/** A private cluster in a temporary folder, which is removed with it. */
export interface TestCluster extends AsyncDisposable {
  /** Of the template: plain data, so that a test run's set-up can hand it to its workers. */
  readonly connection: ConnectionParts;
}

/** A database with the current schema and no rows; dropped when disposed. */
export interface TestDatabase extends AsyncDisposable {
  readonly database: Database;
  readonly connection: ConnectionParts;
}

/** Starts a cluster and prepares the template (1 s). As root the parent folder must be one that other users can pass. */
export async function startTestCluster(parentFolder: string = tmpdir()): Promise<TestCluster> {
  const folder = await mkdtemp(join(parentFolder, "db-test-"));
  await chmod(folder, 0o711);
  const removeFolder = () => rm(folder, { recursive: true, force: true });
  try {
    const options = { dataFolder: folder, socketFolder: join(folder, "sockets"), logger: silentLogger, random: systemRandom };
    const cluster = await startPrivateCluster(options);
    const { connection } = cluster;
    // What tests write need not survive a loss of power; without waiting for the disk they take half the time.
    for (const setting of ["fsync", "synchronous_commit", "full_page_writes"]) {
      await runStatement(connection, `alter system set ${setting} = off`);
    }
    await runStatement(connection, "select pg_reload_conf()");
    const template = await connectDatabase({ connection, logger: silentLogger, clock: systemClock, random: systemRandom });
    await template[Symbol.asyncDispose]();
    return {
      connection,
      async [Symbol.asyncDispose]() {
        await cluster[Symbol.asyncDispose]();
        await removeFolder();
      },
    };
  } catch (error) {
    await removeFolder();
    throw error;
  }
}

/**
 * Makes the data folder of a server whose private cluster has the schema and no rows: a copy of it saves a server its
 * initdb, which takes as long as all the rest of its start. As root its parent folder must be one that other users can pass.
 */
export async function makePrivateDatabase(dataFolder: string): Promise<void> {
  const common = { logger: silentLogger, random: systemRandom };
  await using cluster = await startPrivateCluster({ dataFolder, socketFolder: join(dataFolder, "sockets"), ...common });
  await using _database = await connectDatabase({ connection: cluster.connection, clock: systemClock, ...common });
}

/** Makes a database for one test, on a cluster of `startTestCluster`. */
export async function createTestDatabase(
  template: ConnectionParts,
  options: { clock?: Clock; random?: Random; logger?: Logger; poolSize?: number } = {},
): Promise<TestDatabase> {
  const { clock = systemClock, random = systemRandom, logger = silentLogger, poolSize } = options;
  const connection = { ...template, database: `test_${systemRandom.uuid().replaceAll("-", "")}` };
  // By default each block would be logged, where nothing needs to survive.
  await runStatement(template, `create database ${connection.database} template ${template.database} strategy file_copy`);
  const database = await connectDatabase({ connection, clock, random, logger, ...(poolSize === undefined ? {} : { poolSize }) });
  return {
    database,
    connection,
    async [Symbol.asyncDispose]() {
      await database[Symbol.asyncDispose]();
      await runStatement(template, `drop database if exists ${connection.database} with (force)`);
    },
  };
}

/** In the database `postgres`, since a template must have no connections while it is copied. */
async function runStatement(template: ConnectionParts, statement: string): Promise<void> {
  const client = new pg.Client({ ...template, database: "postgres" });
  client.on("error", () => {}); // the statement under way fails too, and says so
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
