import type { Database, Transaction } from "../stores/database.ts";
import { accessRules } from "./access-rules.ts";
import { channels } from "./channels.ts";
import type { Data } from "./data.ts";
import { deployments } from "./deployments.ts";
import { events } from "./events.ts";
import { firewalls } from "./firewalls.ts";
import { hooks } from "./hooks.ts";
import { hosts } from "./hosts.ts";
import { hubs } from "./hubs.ts";
import { instances } from "./instances.ts";
import { lockouts } from "./lockouts.ts";
import { MemoryTransaction, connectionLost, wrapTransaction } from "./memory-transaction.ts";
import { MemoryWakeUps } from "./memory-wake-ups.ts";
import { toStore } from "./on-data.ts";
import { tokens } from "./tokens.ts";
import type { Turns } from "./turns.ts";
import { users } from "./users.ts";

/**
 * Where a connection pauses: before a transaction waits for its turn (`begin`), before each call of a store
 * (`statement`), before the commit, after it but before the caller knows (`committed`), and before its listeners hear
 * (`wake-up`).
 */
export type StorePoint = "begin" | "statement" | "commit" | "committed" | "wake-up";

export interface MemoryDatabaseOptions {
  /** The replica of the server that this is. */
  replicaId?: string;
  /**
   * Is called and awaited at each point: it may take (virtual) time, kill or cut the connection, or throw what the
   * caller of `transaction` shall get: up to `commit` the transaction is undone by it, at `committed` it no longer is. At
   * `wake-up` it must not throw.
   */
  pauseAt?: (point: StorePoint) => Promise<void> | void;
}

/** What the connections to one store share. */
export interface SharedStore {
  readonly data: Data;
  readonly turns: Turns;
  readonly connections: Set<MemoryDatabase>;
}

const STORES = {
  users: toStore(users),
  tokens: toStore(tokens),
  hosts: toStore(hosts),
  hubs: toStore(hubs),
  channels: toStore(channels),
  deployments: toStore(deployments),
  lockouts: toStore(lockouts),
  accessRules: toStore(accessRules),
  instances: toStore(instances),
  firewalls: toStore(firewalls),
  events: toStore(events),
  hooks: toStore(hooks),
};

/** One process's connection to a `MemoryStore`. */
export class MemoryDatabase implements Database {
  readonly users = STORES.users;
  readonly tokens = STORES.tokens;
  readonly hosts = STORES.hosts;
  readonly hubs = STORES.hubs;
  readonly channels = STORES.channels;
  readonly deployments = STORES.deployments;
  readonly lockouts = STORES.lockouts;
  readonly accessRules = STORES.accessRules;
  readonly instances = STORES.instances;
  readonly firewalls = STORES.firewalls;
  readonly events = STORES.events;
  readonly hooks = STORES.hooks;
  readonly wakeUps: MemoryWakeUps;
  readonly #shared: SharedStore;
  readonly #pauseAt: (point: StorePoint) => Promise<void> | void;
  readonly #underWay = new Set<Promise<unknown>>();
  /** The one that has its turn. */
  #current: MemoryTransaction | undefined;
  #isClosed = false;
  #isKilled = false;

  constructor(shared: SharedStore, { replicaId, pauseAt = () => {} }: MemoryDatabaseOptions) {
    this.#shared = shared;
    this.#pauseAt = pauseAt;
    this.wakeUps = new MemoryWakeUps(shared.data.livingReplicas, replicaId, () => pauseAt("wake-up"));
    shared.connections.add(this);
  }

  async transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    if (this.#isClosed) throw connectionLost();
    const run = this.#run(work);
    this.#underWay.add(run);
    try {
      return await run;
    } finally {
      this.#underWay.delete(run);
    }
  }

  async #run<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    await this.#pauseAt("begin");
    const release = await this.#shared.turns.take();
    const transaction = new MemoryTransaction(this.#shared.data, () => this.#pauseAt("statement"), release);
    if (this.#isKilled) {
      transaction.lose();
      throw connectionLost();
    }
    this.#current = transaction;
    let result: T;
    try {
      result = await work(wrapTransaction(transaction));
      await this.#pauseAt("commit");
      if (transaction.commit()) this.#tell([...transaction.topics]);
    } finally {
      transaction.undo();
    }
    await this.#pauseAt("committed");
    if (this.#isKilled) throw connectionLost();
    return result;
  }

  #tell(topics: readonly string[]): void {
    if (topics.length === 0) return;
    for (const connection of this.#shared.connections) connection.wakeUps.send(topics);
  }

  /** Cuts the connection of the transaction under way, which is undone and fails with `store_unavailable`. */
  cutTransaction(): void {
    this.#current?.lose();
  }

  /** The process is gone: what it had begun is undone at once, nothing more comes from it, and it hears nothing more. */
  kill(): void {
    this.#isKilled = true;
    this.#close();
    this.#current?.lose();
    this.#shared.connections.delete(this);
  }

  /** Waits for transactions under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#close();
    if (!this.#isKilled) await Promise.allSettled(this.#underWay);
    this.#shared.connections.delete(this);
  }

  #close(): void {
    this.#isClosed = true;
    this.wakeUps[Symbol.dispose]();
  }
}
