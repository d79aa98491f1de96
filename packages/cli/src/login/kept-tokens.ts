import { randomUUID } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { AppError, TokenClaims } from "@hardshare/protocol";
import { makePrivateFolder, readTextIfThere, writeFileDurably } from "@hardshare/runtime";
import { tokenPath } from "./login-store.ts";
import { checkToken } from "./token-file.ts";

/** An API token in the folder of tokens, beside the login's. */
export interface KeptToken {
  file: string;
  token: string;
  user: string;
  org: string | null;
  expires: Date;
}

/** A file in the folder of tokens that holds none, with the reason. */
export interface UnusableToken {
  file: string;
  problem: string;
}

/** What a token says of itself. Whether it is true, its server knows. @throws AppError `bad_input` */
export function readClaims(text: string, source: string): Omit<KeptToken, "file"> {
  const token = checkToken(text, source);
  const claims = TokenClaims.safeParse(parseJson(Buffer.from(token.split(".")[1] ?? "", "base64url").toString())).data;
  if (claims === undefined) throw new AppError("bad_input", `${source} holds no API token: its claims can't be read`);
  return { token, user: claims.sub, org: claims.org ?? null, expires: new Date(claims.exp * 1000) };
}

/** All tokens that are kept here, but the login's; those that last longest come first. */
export async function keptTokens(home: string): Promise<{ tokens: KeptToken[]; unusable: UnusableToken[] }> {
  const tokens: KeptToken[] = [];
  const unusable: UnusableToken[] = [];
  for (const file of await filesOf(home)) {
    try {
      tokens.push({ file, ...readClaims((await readTextIfThere(file)) ?? "", file) });
    } catch (error) {
      unusable.push({ file, problem: error instanceof AppError ? error.message : String(error) });
    }
  }
  return { tokens: tokens.toSorted((a, b) => b.expires.getTime() - a.expires.getTime()), unusable };
}

/**
 * Keeps a copy of a token, readable by its user alone, unless it is kept already. One of another name is never replaced.
 * @returns its file
 */
export async function keepToken(home: string, token: string, name: string): Promise<string> {
  const { tokens } = await keptTokens(home);
  const same = tokens.find((kept) => kept.token === token);
  if (same !== undefined) return same.file;
  await makePrivateFolder(join(home, "tokens"));
  const wanted = join(home, "tokens", basename(name));
  const isTaken = wanted === tokenPath(home) || (await readTextIfThere(wanted)) !== undefined;
  const file = isTaken ? `${wanted}-${randomUUID().slice(0, 8)}` : wanted;
  await writeFileDurably(file, `${token}\n`);
  return file;
}

export async function removeToken(file: string): Promise<void> {
  await rm(file, { force: true });
}

async function filesOf(home: string): Promise<string[]> {
  const folder = join(home, "tokens");
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(folder, entry.name))
    .filter((file) => file !== tokenPath(home))
    .toSorted();
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
