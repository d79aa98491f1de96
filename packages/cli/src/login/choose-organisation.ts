import { AppError } from "@hardshare/protocol";
import { keepToken, keptTokens, readClaims } from "./kept-tokens.ts";
import { readLogin, writeLogin } from "./login-store.ts";

export interface OrganisationOptions {
  home: string;
  /** Null: none, the user alone. */
  org: string | null;
  /** Milliseconds since 1970. */
  nowMs: number;
}

/**
 * Signs in with the token of an organisation, among those that are kept here, so that what is registered from now on
 * belongs to it. The token that was used before is kept.
 * @throws AppError `not_configured` when nobody is signed in, `not_found` when no token that has not expired is for it
 */
export async function chooseOrganisation({
  home,
  org,
  nowMs,
}: OrganisationOptions): Promise<{ user: string; org: string | null; expires: Date }> {
  const login = await readLogin(home);
  if (login === undefined) throw new AppError("not_configured", "nobody is signed in: `hardshare login --server URL --token-file FILE`");
  const current = readClaims(login.token, "the login's token");
  const { tokens } = await keptTokens(home);
  const usable = [{ ...current, file: "" }, ...tokens].filter((token) => token.expires.getTime() > nowMs);
  const chosen = usable.find((token) => token.org === org);
  if (chosen === undefined) {
    const known = [...new Set(usable.flatMap((token) => token.org ?? []))];
    const whom = org === null ? "without an organisation" : `of the organisation ${org}`;
    const there = known.length === 0 ? "there is none of an organisation" : `there are those of ${known.join(", ")}`;
    throw new AppError("not_found", `no token ${whom} is kept here (${there}): add one with \`hardshare config --add-token FILE\``);
  }
  if (chosen.token !== login.token) {
    await keepToken(home, login.token, current.org === null ? current.user : `${current.user}-${current.org}`);
    await writeLogin(home, { server: login.server, user: chosen.user }, chosen.token);
  }
  return { user: chosen.user, org: chosen.org, expires: chosen.expires };
}
