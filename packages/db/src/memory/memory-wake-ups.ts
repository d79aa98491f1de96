import { AppError } from "@hardshare/protocol";
import type { Transaction } from "../stores/database.ts";
import { EVERYTHING, type WakeUps } from "../stores/wake-ups.ts";
import { transactionOf } from "./memory-transaction.ts";

/** Wake-ups as one connection hears them: never at once, in the order of the commits. */
export class MemoryWakeUps implements WakeUps, Disposable {
  readonly #livingReplicas: Set<string>;
  readonly #replicaId: string | undefined;
  readonly #pause: () => Promise<void> | void;
  readonly #listeners = new Set<(topic: string) => void>();
  /** Of the connection that hears; what was sent over a former one is lost with it. */
  #generation = 0;
  #isListening = false;
  #isClosed = false;
  #delivered: Promise<void> = Promise.resolve();

  /**
   * @param pause is awaited before listeners hear
   * @throws AppError `conflict` when another connection is this replica
   */
  constructor(livingReplicas: Set<string>, replicaId: string | undefined, pause: () => Promise<void> | void) {
    this.#livingReplicas = livingReplicas;
    this.#replicaId = replicaId;
    this.#pause = pause;
    this.#connect();
  }

  async notify(tx: Transaction, ...topics: readonly string[]): Promise<void> {
    const transaction = transactionOf(tx);
    await transaction.run(() => {
      for (const topic of topics) transaction.topics.add(topic);
    });
  }

  listen(onTopic: (topic: string) => void): Disposable {
    const listener = (topic: string) => onTopic(topic);
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** The connection for wake-ups is lost: nothing is heard, and the replica counts as gone. */
  lose(): void {
    if (!this.#isListening) return;
    this.#isListening = false;
    this.#generation += 1;
    if (this.#replicaId !== undefined) this.#livingReplicas.delete(this.#replicaId);
  }

  /** It is back: listeners are told to look at everything. @throws AppError `conflict` when another one is this replica now */
  regain(): void {
    if (this.#isListening || this.#isClosed) return;
    this.#connect();
    this.send([EVERYTHING]);
  }

  #connect(): void {
    const replicaId = this.#replicaId;
    if (replicaId !== undefined) {
      if (this.#livingReplicas.has(replicaId)) {
        throw new AppError("conflict", "Another server with the same replica-id uses this database", { details: { replicaId } });
      }
      this.#livingReplicas.add(replicaId);
    }
    this.#isListening = true;
  }

  /** Brings topics to the listeners, later. */
  send(topics: readonly string[]): void {
    if (!this.#isListening) return;
    const generation = this.#generation;
    this.#delivered = this.#delivered.then(async () => {
      await this.#pause();
      for (const topic of topics) {
        if (generation !== this.#generation) return;
        for (const listener of this.#listeners) listener(topic);
      }
    });
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.lose();
    this.#listeners.clear();
  }
}
