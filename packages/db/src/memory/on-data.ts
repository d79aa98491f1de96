import type { Transaction } from "../stores/database.ts";
import type { Data } from "./data.ts";
import { transactionOf } from "./memory-transaction.ts";

/** The functions of a store as they are here: at once, on the data. */
export type OnData<Store> = {
  [Name in keyof Store]: Store[Name] extends (tx: Transaction, ...rest: infer Rest) => Promise<infer Result>
    ? (data: Data, ...rest: Rest) => Result
    : never;
};

/** Makes each function a statement of the transaction that it is called with. */
export function toStore<Store extends object>(functions: OnData<Store>): Store {
  const entries = Object.entries(functions as Record<string, (data: Data, ...rest: unknown[]) => unknown>);
  const statements = entries.map(([name, onData]) => [
    name,
    async (tx: Transaction, ...rest: unknown[]) => await transactionOf(tx).run((data) => onData(data, ...rest)),
  ]);
  return Object.fromEntries(statements) as Store;
}
