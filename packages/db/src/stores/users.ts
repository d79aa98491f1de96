import type { Transaction } from "./database.ts";

export interface User {
  name: string;
  createdAt: Date;
}

/** Accounts. Whether somebody is superuser is a claim of the token, not of the account. */
export interface UserStore {
  /** @returns false when a user of this name exists (nothing changes) */
  add(tx: Transaction, user: { name: string; at: Date }): Promise<boolean>;
  get(tx: Transaction, name: string): Promise<User | null>;
  /** All, by name. */
  list(tx: Transaction): Promise<User[]>;
}
