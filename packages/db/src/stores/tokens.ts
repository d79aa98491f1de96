import type { Transaction } from "./database.ts";

/** What is kept of an API token: its SHA-256 (hex, small letters, of the compact JWT), never the token. */
export interface StoredToken {
  sha256: string;
  user: string;
  org: string | null;
  /** When this server issued it; null when it was first met in use or in a revocation. */
  issuedAt: Date | null;
  expiresAt: Date | null;
  firstSeenAt: Date | null;
  /** Address from which it was first used. */
  origin: string | null;
  revokedAt: Date | null;
}

export interface TokenStore {
  /** Records a token that the server just issued. */
  addIssued(tx: Transaction, token: { sha256: string; user: string; org: string | null; expiresAt: Date; at: Date }): Promise<void>;
  /**
   * Records the first use of a token (later uses change nothing).
   * @returns the row as it is now: a token with `revokedAt` must be refused
   */
  recordUse(
    tx: Transaction,
    use: { sha256: string; user: string; org: string | null; expiresAt: Date; origin: string | null; at: Date },
  ): Promise<StoredToken>;
  get(tx: Transaction, sha256: string): Promise<StoredToken | null>;
  /**
   * Revokes a token; an unknown hash is stored as revoked, in the name of `user`. Repeating it changes nothing.
   * @returns whether it was in force (or unknown) before
   */
  revoke(tx: Transaction, revocation: { sha256: string; user: string; at: Date }): Promise<boolean>;
}
