import type { Selectable } from "kysely";
import type { StoredToken, TokenStore } from "../stores/tokens.ts";
import type { Tables } from "./tables.ts";
import { sqlOf } from "./transaction.ts";

export const tokens: TokenStore = {
  async addIssued(tx, { sha256, user, org, expiresAt, at }) {
    await sqlOf(tx)
      .insertInto("tokens")
      .values({ sha256, userName: user, org, issuedAt: at, expiresAt, firstSeenAt: null, origin: null, revokedAt: null })
      .onConflict((conflict) => conflict.column("sha256").doUpdateSet({ issuedAt: at }))
      .execute();
  },

  async recordUse(tx, { sha256, user, org, expiresAt, origin, at }) {
    const known = await findToken(tx, sha256);
    if (known !== null && known.firstSeenAt !== null) return known; // nearly every request: no write
    const row = await sqlOf(tx)
      .insertInto("tokens")
      .values({ sha256, userName: user, org, issuedAt: null, expiresAt, firstSeenAt: at, origin, revokedAt: null })
      .onConflict((conflict) =>
        conflict.column("sha256").doUpdateSet((eb) => ({
          firstSeenAt: eb.fn.coalesce("tokens.firstSeenAt", "excluded.firstSeenAt"),
          origin: eb.fn.coalesce("tokens.origin", "excluded.origin"),
        })),
      )
      .returningAll()
      .executeTakeFirstOrThrow();
    return toToken(row);
  },

  get: findToken,

  async revoke(tx, { sha256, user, at }) {
    const rows = await sqlOf(tx)
      .insertInto("tokens")
      .values({ sha256, userName: user, org: null, issuedAt: null, expiresAt: null, firstSeenAt: null, origin: null, revokedAt: at })
      .onConflict((conflict) => conflict.column("sha256").doUpdateSet({ revokedAt: at }).where("tokens.revokedAt", "is", null))
      .returning("sha256")
      .execute();
    return rows.length > 0;
  },
};

async function findToken(tx: Parameters<TokenStore["get"]>[0], sha256: string): Promise<StoredToken | null> {
  const row = await sqlOf(tx).selectFrom("tokens").selectAll().where("sha256", "=", sha256).executeTakeFirst();
  return row === undefined ? null : toToken(row);
}

function toToken({ userName, ...row }: Selectable<Tables["tokens"]>): StoredToken {
  return { ...row, user: userName };
}
