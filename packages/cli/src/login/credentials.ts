import { resolve } from "node:path";
import { HardshareClient, normaliseServerUrl } from "@hardshare/client";
import { AppError } from "@hardshare/protocol";
import { httpRequest } from "@hardshare/runtime";
import type { CliContext, GlobalOptions } from "../context.ts";
import { readLogin, tokenPath } from "./login-store.ts";
import { checkToken, readTokenFile } from "./token-file.ts";

/** The server of a verb and who asks. */
export interface Credentials {
  url: string;
  token: string;
  /** The file that holds the token, if it came from one. */
  tokenFile: string | undefined;
}

export interface Access extends Credentials {
  client: HardshareClient;
}

/**
 * Where to go and as whom: `--server` and `--token-file`, else HARDSHARE_SERVER and HARDSHARE_TOKEN, else the login.
 * The login's token goes to the login's server only.
 * @throws AppError `not_configured` when either is unknown, `bad_input`
 */
export async function findCredentials(context: CliContext, options: GlobalOptions): Promise<Credentials> {
  const url = await findServer(context, options);
  const found = await findToken(context, options, url);
  if (found !== undefined) return { url, ...found };
  throw new AppError("not_configured", `nobody is signed in at ${url}: use \`hardshare login --server ${url} --token-file FILE\``);
}

/** As whom a verb goes to this server; undefined when nobody is signed in there. @throws AppError `bad_input` */
export async function findToken(
  { environment }: CliContext,
  options: GlobalOptions,
  url: string,
): Promise<Omit<Credentials, "url"> | undefined> {
  if (options.tokenFile !== undefined) {
    const tokenFile = resolve(options.tokenFile);
    return { token: await readTokenFile(tokenFile), tokenFile };
  }
  if (environment.token !== undefined) return { token: checkToken(environment.token, "HARDSHARE_TOKEN"), tokenFile: undefined };
  const login = await readLogin(environment.home);
  return login?.server === url ? { token: login.token, tokenFile: tokenPath(environment.home) } : undefined;
}

/** Where to go: `--server`, else HARDSHARE_SERVER, else the login's server. @throws AppError `not_configured` */
export async function findServer({ environment }: CliContext, options: GlobalOptions): Promise<string> {
  const given = options.server ?? environment.server;
  const url = given === undefined ? (await readLogin(environment.home))?.server : normaliseServerUrl(given);
  if (url !== undefined) return url;
  throw new AppError("not_configured", "no server is known: sign in with `hardshare login --server URL --token-file FILE`");
}

/** A client for the credentials of this run. @throws AppError like `findCredentials` */
export async function openAccess(context: CliContext, options: GlobalOptions): Promise<Access> {
  const credentials = await findCredentials(context, options);
  return { ...credentials, client: clientFor(credentials) };
}

/** A client whose first request takes a tenth of what `fetch` would take. */
export function clientFor({ url, token }: Pick<Credentials, "url" | "token">): HardshareClient {
  return new HardshareClient({ url, token, transport: httpRequest });
}
