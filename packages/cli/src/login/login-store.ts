import { rm } from "node:fs/promises";
import { join } from "node:path";
import { makePrivateFolder, parseYamlWith, readTextIfThere, writeFileDurably } from "@hardshare/runtime";
import { stringify } from "yaml";
import * as z from "zod";

/** Who is signed in where; its token lies beside it in a file of its own. */
const Login = z.object({ server: z.string(), user: z.string() });
export type Login = z.infer<typeof Login>;

/** The file of the signed-in user's token. */
export function tokenPath(home: string): string {
  return join(home, "tokens", "login");
}

function loginPath(home: string): string {
  return join(home, "login.yaml");
}

/** @throws AppError `config_invalid` */
export async function readLogin(home: string): Promise<(Login & { token: string }) | undefined> {
  const text = await readTextIfThere(loginPath(home));
  const token = await readTextIfThere(tokenPath(home));
  if (text === undefined || token === undefined) return undefined;
  return { ...parseYamlWith(Login, text, loginPath(home)), token: token.trim() };
}

/** Keeps the login, readable by its user alone. */
export async function writeLogin(home: string, login: Login, token: string): Promise<void> {
  await makePrivateFolder(join(home, "tokens"));
  await rm(loginPath(home), { force: true }); // a new token must never go to the old server, whenever this is cut short
  await writeFileDurably(tokenPath(home), `${token}\n`);
  await writeFileDurably(loginPath(home), stringify(login));
}

export async function removeLogin(home: string): Promise<void> {
  await rm(loginPath(home), { force: true });
  await rm(tokenPath(home), { force: true });
}
