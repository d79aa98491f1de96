import type { Database } from "@hardshare/db";
import { type Clock, readTextIfThere, writeFileDurably } from "@hardshare/runtime";
import type { TokenCodec } from "./token-codec.ts";
import { tokenSha256 } from "./token-codec.ts";
import type { TokenService } from "./token-service.ts";

/** The account that the server makes at its first start. */
const ADMIN_USER = "admin";
const ADMIN_TOKEN_DAYS = 365;
/** A token with less left is replaced at the next start. */
const RENEW_BELOW_DAYS = 30;

/**
 * Sees to it that the account `admin` exists and `file` holds a superuser token of it that is good for a while: whoever
 * can read the server's data folder administrates it.
 */
export async function keepAdminToken(
  deps: { database: Database; tokens: TokenService; codec: TokenCodec; clock: Clock },
  file: string,
): Promise<void> {
  const { database, tokens, codec, clock } = deps;
  await database.transaction((tx) => database.users.add(tx, { name: ADMIN_USER, at: new Date(clock.now()) }));
  const present = (await readTextIfThere(file))?.trim();
  const claims = present === undefined ? undefined : await codec.verify(present);
  const isGood =
    present !== undefined &&
    claims?.sub === ADMIN_USER &&
    claims.exp * 1000 - clock.now() >= RENEW_BELOW_DAYS * 86_400_000 &&
    !(await tokens.isRevoked(tokenSha256(present)));
  if (isGood) return;
  const { token } = await tokens.issue({ user: ADMIN_USER, days: ADMIN_TOKEN_DAYS, isSuperuser: true });
  await writeFileDurably(file, `${token}\n`);
}
