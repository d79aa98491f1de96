import { type Clock, type Logger, type Random } from "@hardshare/runtime";
import { CamelCasePlugin, Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import { AppError } from "@hardshare/protocol";
import type { Connection } from "../connection.ts";
import { migrate } from "../migrations/migrate.ts";
import type { Database, Transaction } from "../stores/database.ts";
import { accessRules } from "./access-rules.ts";
import { channels } from "./channels.ts";
import { clientConfig } from "./client-config.ts";
import { deployments } from "./deployments.ts";
import { events } from "./events.ts";
import { firewalls } from "./firewalls.ts";
import { hooks } from "./hooks.ts";
import { hosts } from "./hosts.ts";
import { hubs } from "./hubs.ts";
import { instances } from "./instances.ts";
import { lockouts } from "./lockouts.ts";
import { isRepeatable, toStoreError } from "./store-errors.ts";
import type { Tables } from "./tables.ts";
import { tokens } from "./tokens.ts";
import { wrapTransaction } from "./transaction.ts";
import { users } from "./users.ts";
import { PostgresWakeUps } from "./wake-ups.ts";

const DEFAULT_POOL_SIZE = 10;
/** Transactions that may wait for a connection; more are refused at once. */
const MAX_WAITING = 2000;
/** Runs of a transaction whose serialization fails. */
const MAX_ATTEMPTS = 5;

export interface DatabaseOptions {
  /** Of a private cluster, or the URL of `--database-url`. */
  connection: Connection;
  /** Connections for transactions, one more is for wake-ups; 10 unless told otherwise. */
  poolSize?: number;
  /** The replica of the server that this is: others see that it lives as long as it is connected. */
  replicaId?: string;
  logger: Logger;
  clock: Clock;
  random: Random;
}

/**
 * Connects to PostgreSQL, brings the schema up to date, and listens for wake-ups.
 * @throws AppError `store_unavailable` when it can't be reached, `version_mismatch` when a newer hardshare has been here,
 * `bad_input` for a malformed URL, `conflict` when another process is this replica
 */
export async function connectDatabase(options: DatabaseOptions): Promise<Database> {
  const { logger, clock, random } = options;
  const config = clientConfig(options.connection);
  const pool = new pg.Pool({ ...config, max: options.poolSize ?? DEFAULT_POOL_SIZE, idleTimeoutMillis: 60_000 });
  // The pool listens only to connections that nobody has taken: without a listener of its own, one that is lost in a
  // transaction would end the process.
  pool.on("connect", (client) => client.on("error", (error) => logger.warn("a connection to the database was lost", { error })));
  pool.on("error", () => {}); // told above already
  try {
    const done = await migrate(pool, new Date(clock.now()));
    if (done.length > 0) logger.info("the database's schema was brought up to date", { steps: done });
    const wakeUps = await PostgresWakeUps.connect({ connection: config, replicaId: options.replicaId, logger, clock, random });
    return new PostgresDatabase(pool, wakeUps, clock, random);
  } catch (error) {
    await pool.end();
    throw toStoreError(error);
  }
}

class PostgresDatabase implements Database {
  readonly users = users;
  readonly tokens = tokens;
  readonly hooks = hooks;
  readonly hosts = hosts;
  readonly hubs = hubs;
  readonly channels = channels;
  readonly deployments = deployments;
  readonly lockouts = lockouts;
  readonly accessRules = accessRules;
  readonly instances = instances;
  readonly firewalls = firewalls;
  readonly events = events;
  readonly wakeUps: PostgresWakeUps;
  readonly #kysely: Kysely<Tables>;
  readonly #pool: pg.Pool;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(pool: pg.Pool, wakeUps: PostgresWakeUps, clock: Clock, random: Random) {
    this.wakeUps = wakeUps;
    this.#pool = pool;
    this.#clock = clock;
    this.#random = random;
    this.#kysely = new Kysely<Tables>({
      dialect: new PostgresDialect({ pool }),
      plugins: [new CamelCasePlugin({ maintainNestedObjectKeys: true })],
    });
  }

  async transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      if (this.#pool.waitingCount >= MAX_WAITING) {
        throw new AppError("store_unavailable", "The server is overloaded: too many requests wait for the database. Try again in a moment");
      }
      try {
        const transaction = this.#kysely.transaction().setIsolationLevel("read committed");
        return await transaction.execute(async (sql) => await work(wrapTransaction(sql)));
      } catch (error) {
        if (attempt >= MAX_ATTEMPTS || !isRepeatable(error)) throw toStoreError(error);
        await this.#wait(attempt * 10 * this.#random.fraction());
      }
    }
  }

  async #wait(delayMs: number): Promise<void> {
    await new Promise<void>((resolve) => void this.#clock.after(delayMs, resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.wakeUps[Symbol.asyncDispose]();
    await this.#pool.end(); // waits for running transactions; Kysely would end only a pool that it has used
  }
}
