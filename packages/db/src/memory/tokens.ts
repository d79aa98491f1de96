import type { Row } from "../postgres/tables.ts";
import type { StoredToken, TokenStore } from "../stores/tokens.ts";
import { requireCheck } from "./constraints.ts";
import type { OnData } from "./on-data.ts";

export const tokens: OnData<TokenStore> = {
  addIssued(data, { sha256, user, org, expiresAt, at }) {
    checkHash(sha256);
    const known = data.tokens.get(sha256);
    data.tokens.put(known === undefined ? { ...newToken(sha256, user), org, issuedAt: at, expiresAt } : { ...known, issuedAt: at });
  },

  recordUse(data, { sha256, user, org, expiresAt, origin, at }) {
    const known = data.tokens.get(sha256);
    if (known !== undefined && known.firstSeenAt !== null) return toToken(known);
    checkHash(sha256);
    const row = known ?? { ...newToken(sha256, user), org, expiresAt };
    return toToken(data.tokens.put({ ...row, firstSeenAt: row.firstSeenAt ?? at, origin: row.origin ?? origin }));
  },

  get(data, sha256) {
    const row = data.tokens.get(sha256);
    return row === undefined ? null : toToken(row);
  },

  revoke(data, { sha256, user, at }) {
    checkHash(sha256);
    const row = data.tokens.get(sha256) ?? newToken(sha256, user);
    if (row.revokedAt !== null) return false;
    data.tokens.put({ ...row, revokedAt: at });
    return true;
  },
};

function checkHash(sha256: string): void {
  requireCheck(/^[0-9a-f]{64}$/.test(sha256), "tokens", "tokens_sha256_check");
}

function newToken(sha256: string, userName: string): Row<"tokens"> {
  return { sha256, userName, org: null, issuedAt: null, expiresAt: null, firstSeenAt: null, origin: null, revokedAt: null };
}

function toToken({ userName, ...row }: Row<"tokens">): StoredToken {
  return { ...row, user: userName };
}
