import { silentLogger, systemClock, systemRandom } from "@hardshare/runtime";
import { borrowCluster, type TemplateConnection } from "@hardshare/testkit/lending";
import pg from "pg";
import { beforeEach, inject } from "vitest";
import { MemoryStore } from "../memory/memory-store.ts";
import type { MemoryDatabase } from "../memory/memory-database.ts";
import { connectDatabase } from "../postgres/postgres-database.ts";
import { createTestDatabase } from "../testing.ts";
import type { Database } from "./database.ts";

/** An empty store of its own for one test. */
export interface TestStore extends AsyncDisposable {
  /** Connected to it. */
  readonly database: Database;
  /** Another process that uses it. */
  connect(options?: { replicaId?: string }): Promise<Database>;
  /** Breaks all connections for wake-ups; they come back by themselves. */
  cutWakeUps(): Promise<void>;
  /** Breaks the connection of the transaction under way. */
  cutTransaction(): Promise<void>;
}

/** The fake and the real one: what is promised in `stores/` is tested on both. */
export const STORE_KINDS: readonly { name: string; open: () => Promise<TestStore> }[] = [
  { name: "in memory", open: async () => openMemoryStore() },
  { name: "in PostgreSQL", open: async () => openPostgresStore(await borrowCluster(inject("lender"))) },
];

/** Gives each test of a suite an empty store of its own, before what else is to be set up for it. */
export function openForEach({ open }: (typeof STORE_KINDS)[number], onOpen: (store: TestStore) => void | Promise<void>): void {
  beforeEach(async () => {
    const store = await open();
    await onOpen(store);
    return () => store[Symbol.asyncDispose]();
  });
}

function openMemoryStore(): TestStore {
  const store = new MemoryStore();
  const connections: MemoryDatabase[] = [];
  const connect = (options: { replicaId?: string } = {}) => {
    const connection = store.connect(options);
    connections.push(connection);
    return connection;
  };
  return {
    database: connect(),
    connect: async (options) => connect(options),
    async cutWakeUps() {
      for (const { wakeUps } of connections) wakeUps.lose();
      for (const { wakeUps } of connections) wakeUps.regain();
    },
    async cutTransaction() {
      for (const connection of connections) connection.cutTransaction();
    },
    async [Symbol.asyncDispose]() {
      for (const connection of connections) await connection[Symbol.asyncDispose]();
    },
  };
}

async function openPostgresStore(template: TemplateConnection): Promise<TestStore> {
  const own = await createTestDatabase(template);
  const { connection, database } = own;
  const cut = async (which: string) => {
    const admin = new pg.Client({ ...connection });
    await admin.connect();
    await admin.query(`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and ${which}`);
    await admin.end();
  };
  return {
    database,
    connect: (options) => connectDatabase({ connection, logger: silentLogger, clock: systemClock, random: systemRandom, ...options }),
    // Its newest query is `listen`, or the look whether the connection lives.
    cutWakeUps: () => cut("(query like 'listen%' or query = 'select 1')"),
    cutTransaction: () => cut("state = 'idle in transaction'"),
    [Symbol.asyncDispose]: () => own[Symbol.asyncDispose](),
  };
}
