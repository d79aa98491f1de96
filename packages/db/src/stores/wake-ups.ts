import type { Transaction } from "./database.ts";

/** Topic that means: anything may have changed, look at everything again. */
export const EVERYTHING = "*";

/**
 * Tells all replicas that something changed. A wake-up says where to look, never what to do: a lost or repeated one
 * costs time, never correctness. Topics are short texts such as `host:<id>`, `hub:<id>`, `instance:<id>`, `deadlines`.
 */
export interface WakeUps {
  /** Sent when the transaction commits, to every listener of every replica, this one too; once per topic and transaction. */
  notify(tx: Transaction, ...topics: readonly string[]): Promise<void>;
  /**
   * Calls `onTopic` for each wake-up until disposed, and with `EVERYTHING` after the connection was lost and is back.
   * `onTopic` must not throw.
   */
  listen(onTopic: (topic: string) => void): Disposable;
}
