import { connectDatabase, type Connection, type Database, type Transaction } from "@hardshare/db";
import { silentLogger, systemClock, systemRandom } from "@hardshare/runtime";
import type { ConnectOptions, SimulatedStore, StoreConnection } from "./simulated-store.ts";

/** Begins topics that show that all wake-ups of a commit have arrived. */
const MARK = "simulation-mark/";
/** Transactions of one server at the same time. */
const POOL_SIZE = 4;

/**
 * A simulation's store on a real PostgreSQL. Virtual time stands still while a query is out, and until everybody who
 * listens has heard of a commit; so a killed process never leaves a transaction half done here, as it does in memory.
 */
export class PostgresStore implements SimulatedStore {
  readonly observer: Database;
  readonly backUp = undefined;
  readonly #connection: Connection;
  readonly #listening = new Set<Listening>();
  #held = 0;
  #marks = 0;

  /** @param connection of a database without rows @param observer connected to the same */
  constructor(connection: Connection, observer: Database) {
    this.#connection = connection;
    this.observer = { ...storesOf(observer), transaction: (work) => this.#hold(observer.transaction(work)) };
  }

  get isBusy(): boolean {
    if (this.#held > 0) return true;
    for (const { missing } of this.#listening) if (missing.size > 0) return true;
    return false;
  }

  async connect({ replicaId, pauseAt }: ConnectOptions): Promise<StoreConnection> {
    const deps = { logger: silentLogger, clock: systemClock, random: systemRandom };
    const real = await this.#hold(connectDatabase({ connection: this.#connection, replicaId, poolSize: POOL_SIZE, ...deps }));
    const listening = new Listening(real, () => pauseAt("wake-up"));
    this.#listening.add(listening);
    const life = new AbortController();
    const marks = new WeakMap<Transaction, string[]>();
    const database: Database = {
      ...storesOf(real),
      wakeUps: {
        listen: (onTopic) => listening.listen(onTopic),
        notify: async (tx, ...topics) => {
          const mark = `${MARK}${this.#marks++}`;
          marks.set(tx, [...(marks.get(tx) ?? []), mark]);
          await real.wakeUps.notify(tx, ...topics, mark);
        },
      },
      transaction: async (work) => {
        await pauseAt("begin");
        let last: Transaction | undefined;
        const result = await this.#hold(
          real.transaction((tx) => {
            last = tx; // one that is repeated is another one
            return work(tx);
          }),
        );
        for (const mark of (last && marks.get(last)) ?? []) for (const each of this.#listening) each.expect(mark);
        await pauseAt("committed");
        if (life.signal.aborted) return new Promise(() => {}); // its process hears nothing more
        return result;
      },
    };
    const end = async () => real[Symbol.asyncDispose]();
    return {
      database,
      kill: () => {
        life.abort();
        this.#listening.delete(listening);
        void this.#hold(end());
      },
    };
  }

  async #hold<T>(work: Promise<T>): Promise<T> {
    this.#held += 1;
    try {
      return await work;
    } finally {
      this.#held -= 1;
    }
  }
}

/** A database's own stores, which a wrapper passes on. */
function storesOf(database: Database): Omit<Database, "transaction"> {
  const { users, tokens, hosts, hubs, channels, deployments, lockouts, accessRules, instances, firewalls, events, hooks, wakeUps } =
    database;
  const stores = { users, tokens, hosts, hubs, channels, deployments, lockouts, accessRules, instances, firewalls, events, hooks, wakeUps };
  return { ...stores, [Symbol.asyncDispose]: () => database[Symbol.asyncDispose]() };
}

/** What one server has heard of. */
class Listening {
  /** Marks of commits that have not arrived yet, and those that came before their commit was known. */
  readonly missing = new Set<string>();
  readonly #early = new Set<string>();
  readonly #listeners = new Set<(topic: string) => void>();

  constructor(database: Database, pause: () => Promise<void>) {
    let delivered: Promise<unknown> = Promise.resolve();
    database.wakeUps.listen((topic) => {
      if (topic.startsWith(MARK)) {
        if (!this.missing.delete(topic)) this.#early.add(topic);
        return;
      }
      delivered = delivered.then(pause).then(() => this.#listeners.forEach((listener) => listener(topic)));
    });
  }

  expect(mark: string): void {
    if (!this.#early.delete(mark)) this.missing.add(mark);
  }

  listen(onTopic: (topic: string) => void): Disposable {
    const listener = (topic: string) => onTopic(topic);
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }
}
