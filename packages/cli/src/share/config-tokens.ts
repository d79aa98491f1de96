import { basename } from "node:path";
import { AppError, toAppError } from "@hardshare/protocol";
import type { Invocation } from "../context.ts";
import { clientFor, findServer } from "../login/credentials.ts";
import { keepToken, keptTokens, removeToken } from "../login/kept-tokens.ts";
import { readLogin, removeLogin, tokenPath, writeLogin } from "../login/login-store.ts";
import { readTokenFile } from "../login/token-file.ts";

/**
 * Keeps a copy of a token that the server knows. Where nobody is signed in, it is the login.
 * @throws AppError `wrong_token`, `not_configured` (no server is known), `bad_input`
 */
export async function addToken(
  { context, options }: Invocation,
  file: string,
): Promise<{ file: string; user: string; org: string | null }> {
  const { home } = context.environment;
  const url = await findServer(context, options);
  const token = await readTokenFile(file, "--add-token");
  const { user, org } = await clientFor({ url, token }).whoami();
  const kept = await keepToken(home, token, basename(file));
  if ((await readLogin(home)) === undefined) await writeLogin(home, { server: url, user }, token);
  return { file: kept, user, org };
}

/**
 * Removes tokens that are none, have expired, or that the server refuses, the login's too.
 * @returns each with the reason, and those of which the server could not be asked
 */
export async function pruneTokens({
  context,
  options,
}: Invocation): Promise<{ removed: { file: string; problem: string }[]; unasked: string[] }> {
  const { home } = context.environment;
  const { tokens, unusable } = await keptTokens(home);
  const login = await readLogin(home);
  const url = await findServer(context, options).catch(() => undefined);
  const removed = [...unusable];
  const unasked: string[] = [];
  const loginToken = login === undefined ? [] : [{ file: tokenPath(home), token: login.token, expires: undefined, server: login.server }];
  for (const { file, token, expires, server = url } of [...tokens.map((kept) => ({ ...kept, server: undefined })), ...loginToken]) {
    if (expires !== undefined && expires.getTime() <= context.clock.now())
      removed.push({ file, problem: `expired at ${expires.toISOString()}` });
    else if (server === undefined) unasked.push(file);
    else {
      const problem = await refusalOf(server, token);
      if (problem === undefined) unasked.push(file);
      else if (problem !== null) removed.push({ file, problem });
    }
  }
  for (const { file } of removed) await (file === tokenPath(home) ? removeLogin(home) : removeToken(file));
  return { removed, unasked };
}

/** Why the server refuses a token; null when it takes it, undefined when it can't be asked. */
async function refusalOf(url: string, token: string): Promise<string | null | undefined> {
  try {
    await clientFor({ url, token }).whoami();
    return null;
  } catch (error) {
    const failure = toAppError(error);
    return failure instanceof AppError && failure.code === "wrong_token" ? `${url} refuses it` : undefined;
  }
}
