import type { Database } from "@hardshare/db";
import { AppError, type TokenClaims } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import { type Caller, requireWriter } from "../../http/caller.ts";
import { scopes } from "../../wake-ups/topics.ts";
import type { KnownTokens } from "./known-tokens.ts";
import { type NewTokenClaims, type TokenCodec, tokenSha256 } from "./token-codec.ts";

/** Users whose names start so are guests of sandboxes (rerobots-http-api.md §5.3). */
const GUEST_PREFIX = "sandbox_anon";

export interface IssuedToken {
  token: string;
  sha256: string;
  expiresAt: Date;
}

/** API tokens: issued, met in use, revoked. */
export class TokenService {
  readonly #database: Database;
  readonly #codec: TokenCodec;
  readonly #clock: Clock;
  readonly #known: KnownTokens;

  constructor(deps: { database: Database; codec: TokenCodec; known: KnownTokens; clock: Clock }) {
    this.#database = deps.database;
    this.#codec = deps.codec;
    this.#clock = deps.clock;
    this.#known = deps.known;
  }

  /** @throws AppError `not_found` for an unknown user */
  async issue(claims: NewTokenClaims): Promise<IssuedToken> {
    const issued = await this.#codec.sign(claims);
    const at = this.#now();
    await this.#database.transaction(async (tx) => {
      if ((await this.#database.users.get(tx, claims.user)) === null) {
        throw new AppError("not_found", `user: no user is named ${claims.user}; add it first (hardshare admin user add)`, {
          details: { field: "user" },
        });
      }
      await this.#database.tokens.addIssued(tx, { ...issued, user: claims.user, org: null, at });
    });
    return issued;
  }

  /**
   * Who holds this token. A token that this server signed and that the store does not know is recorded.
   * @returns undefined when it is invalid, expired, revoked, or its user is unknown
   */
  async identify(token: string, origin: string): Promise<Caller | undefined> {
    const claims = await this.#codec.verify(token);
    if (claims === undefined) return undefined;
    const sha256 = tokenSha256(token);
    const settle = this.#known.look(sha256);
    const expiresAt = new Date(claims.exp * 1000);
    const org = claims.org ?? null;
    const isValid = await this.#database.transaction(async (tx) => {
      const { tokens, users } = this.#database;
      if ((await users.get(tx, claims.sub)) === null) return false;
      let row = await tokens.get(tx, sha256);
      if (row === null || (row.firstSeenAt === null && row.revokedAt === null)) {
        row = await tokens.recordUse(tx, { sha256, user: claims.sub, org, expiresAt, origin, at: this.#now() });
      }
      return row.revokedAt === null;
    });
    settle(isValid);
    return isValid ? callerOf(claims, sha256) : undefined;
  }

  /**
   * Who holds this token, without asking the store.
   * @returns undefined when it is invalid or expired, and when it is not known here as one that is in force
   */
  async recognize(token: string): Promise<Caller | undefined> {
    const sha256 = tokenSha256(token);
    if (!this.#known.has(sha256)) return undefined;
    const claims = await this.#codec.verify(token);
    return claims === undefined ? undefined : callerOf(claims, sha256);
  }

  /**
   * Revokes a token by its SHA-256: the caller's own, any as superuser, or one that was never met here. What runs in
   * its name is cut. A token that may not change things can revoke itself only.
   * @throws AppError `access_denied` for the token of somebody else, `token_scope`
   */
  async revoke(caller: Caller, sha256: string): Promise<void> {
    if (sha256 !== caller.tokenSha256) requireWriter(caller);
    await this.#database.transaction(async (tx) => {
      const { tokens, wakeUps } = this.#database;
      const row = await tokens.get(tx, sha256);
      if (row !== null && row.user !== caller.user && !caller.isSuperuser) {
        throw new AppError("access_denied", "this token belongs to somebody else; only its user or a superuser may revoke it");
      }
      await tokens.revoke(tx, { sha256, user: caller.user, at: this.#now() });
      await wakeUps.notify(tx, scopes.token(sha256));
    });
    this.#known.forget(sha256);
  }

  /** Whether a token that was valid has been revoked since. */
  async isRevoked(sha256: string): Promise<boolean> {
    const row = await this.#database.transaction((tx) => this.#database.tokens.get(tx, sha256));
    return row !== null && row.revokedAt !== null;
  }

  #now(): Date {
    return new Date(this.#clock.now());
  }
}

function callerOf(claims: TokenClaims, sha256: string): Caller {
  return {
    user: claims.sub,
    org: claims.org ?? null,
    isSuperuser: claims.su === true,
    isGuest: claims.sub.startsWith(GUEST_PREFIX),
    tokenSha256: sha256,
    expiresAt: new Date(claims.exp * 1000),
    claims,
  };
}
