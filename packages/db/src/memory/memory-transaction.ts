import { AppError } from "@hardshare/protocol";
import type { Transaction } from "../stores/database.ts";
import { ConstraintError } from "./constraints.ts";
import type { Data } from "./data.ts";

/** A transaction that has its turn: until it ends, the data are its own. */
export class MemoryTransaction {
  /** To be told when it commits. */
  readonly topics = new Set<string>();
  readonly #data: Data;
  readonly #pause: () => Promise<void> | void;
  readonly #release: () => void;
  #hasFailed = false;
  #ended: "committed" | "undone" | "lost" | undefined;

  /** @param pause is awaited before each statement; `release` gives the turn to the next one */
  constructor(data: Data, pause: () => Promise<void> | void, release: () => void) {
    this.#data = data;
    this.#pause = pause;
    this.#release = release;
  }

  /** Runs one statement. Its result is a copy, which the caller may change. */
  async run<Result>(statement: (data: Data) => Result): Promise<Result> {
    this.#requireRunning();
    await this.#pause();
    this.#requireRunning();
    if (this.#hasFailed) throw new Error("current transaction is aborted, commands ignored until end of transaction block");
    try {
      return structuredClone(statement(this.#data));
    } catch (error) {
      this.#hasFailed ||= error instanceof ConstraintError;
      throw error;
    }
  }

  /** One in which a statement failed is undone without a word, as PostgreSQL does. @returns whether it was committed */
  commit(): boolean {
    this.#requireRunning();
    if (this.#hasFailed) this.#end("undone");
    else this.#end("committed");
    return !this.#hasFailed;
  }

  /** Does nothing after the end. */
  undo(): void {
    if (this.#ended === undefined) this.#end("undone");
  }

  /** The connection is lost, and the transaction undone; whoever goes on with it is told. */
  lose(): void {
    if (this.#ended === undefined) this.#end("lost");
  }

  #end(how: "committed" | "undone" | "lost"): void {
    this.#ended = how;
    if (how === "committed") this.#data.commit();
    else this.#data.undo();
    this.#release();
  }

  #requireRunning(): void {
    if (this.#ended === "lost") throw connectionLost();
    if (this.#ended !== undefined) throw new Error(`the transaction is ${this.#ended} already`);
  }
}

/** What a caller hears when a connection ends in the middle. */
export function connectionLost(): AppError {
  return new AppError("store_unavailable", "The database can't be reached: Connection terminated. Check that it runs, and its address");
}

/** Wraps into the handle that features pass around. */
export function wrapTransaction(transaction: MemoryTransaction): Transaction {
  return transaction as unknown as Transaction;
}

/** The transaction inside a handle. */
export function transactionOf(tx: Transaction): MemoryTransaction {
  const transaction: unknown = tx;
  if (!(transaction instanceof MemoryTransaction)) throw new TypeError("this transaction is of another kind of database");
  return transaction;
}
