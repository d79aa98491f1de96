import { BackOff, type Clock, type Logger, type Random } from "@hardshare/runtime";
import { sql } from "kysely";
import pg from "pg";
import { EVERYTHING, type WakeUps } from "../stores/wake-ups.ts";
import { holdReplica, type ReplicaSession } from "./replicas.ts";
import { sqlOf } from "./transaction.ts";

/** PostgreSQL's name of the notification channel. */
const CHANNEL = "hardshare";
/** How often the connection is tried: one that died without a word would lose wake-ups. */
const LIVENESS_MS = 10_000;

interface PostgresWakeUpsOptions {
  connection: pg.ClientConfig;
  /** Whose sign of life the connection is, if anybody's. */
  replicaId?: string | undefined;
  logger: Logger;
  clock: Clock;
  random: Random;
}

/** Wake-ups over LISTEN/NOTIFY on a connection of its own, which is made anew whenever it is lost. */
export class PostgresWakeUps implements WakeUps, AsyncDisposable {
  readonly #options: PostgresWakeUpsOptions;
  readonly #backOff: BackOff;
  readonly #listeners = new Set<(topic: string) => void>();
  #client: pg.Client | undefined;
  /** Of the next look whether the connection lives, or of the next attempt to connect: never both. */
  #timer: Disposable | undefined;
  #reconnecting: Promise<void> | undefined;
  #session: ReplicaSession | undefined;
  #isClosed = false;

  private constructor(options: PostgresWakeUpsOptions) {
    this.#options = options;
    this.#backOff = new BackOff({ firstMs: 50, maxMs: 5000, random: options.random });
  }

  /** Resolves when wake-ups are heard. */
  static async connect(options: PostgresWakeUpsOptions): Promise<PostgresWakeUps> {
    const wakeUps = new PostgresWakeUps(options);
    await wakeUps.#connect();
    return wakeUps;
  }

  async notify(...[tx, ...topics]: Parameters<WakeUps["notify"]>): Promise<void> {
    await sql`select pg_notify(${CHANNEL}, topic) from unnest(${topics}::text[]) as topic`.execute(sqlOf(tx));
  }

  listen(onTopic: (topic: string) => void): Disposable {
    // A function of its own, so that the same `onTopic` can listen twice.
    const listener = (topic: string) => onTopic(topic);
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Waits for an attempt to connect that is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#timer?.[Symbol.dispose]();
    await this.#reconnecting;
    const client = this.#client;
    this.#client = undefined;
    await client?.end().catch(() => {});
  }

  async #connect(): Promise<void> {
    const client = new pg.Client({ ...this.#options.connection, keepAlive: true, query_timeout: LIVENESS_MS });
    client.on("error", () => this.#lose(client));
    client.on("end", () => this.#lose(client));
    client.on("notification", ({ payload }) => this.#wake(payload ?? EVERYTHING));
    const { replicaId } = this.#options;
    try {
      await client.connect();
      if (replicaId !== undefined) this.#session = await holdReplica(client, replicaId, this.#session);
      await client.query(`listen ${CHANNEL}`);
    } catch (error) {
      void client.end().catch(() => {});
      throw error;
    }
    // Only now: one that ends before has failed its attempt, and must not begin another one by being lost as well.
    this.#client = client;
    this.#backOff.reset();
    this.#watch(client);
  }

  #wake(topic: string): void {
    for (const listener of this.#listeners) listener(topic);
  }

  #watch(client: pg.Client): void {
    if (this.#isClosed) return;
    this.#timer = this.#options.clock.after(LIVENESS_MS, () => {
      client.query("select 1").then(
        () => {
          if (this.#client === client) this.#watch(client);
        },
        () => this.#lose(client),
      );
    });
  }

  #lose(client: pg.Client): void {
    if (this.#isClosed || this.#client !== client) return;
    this.#client = undefined;
    this.#timer?.[Symbol.dispose]();
    this.#options.logger.warn("the connection for wake-ups was lost; connecting again");
    void client.end().catch(() => {});
    this.#reconnectLater();
  }

  #reconnectLater(): void {
    if (this.#isClosed) return;
    this.#timer = this.#options.clock.after(this.#backOff.nextMs(), () => {
      this.#reconnecting = this.#connect().then(
        () => this.#wake(EVERYTHING),
        (error: unknown) => {
          this.#options.logger.warn("wake-ups cannot be heard yet; trying again", { error });
          this.#reconnectLater();
        },
      );
    });
  }
}
