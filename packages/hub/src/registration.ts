import { join } from "node:path";
import { AppError, HubId, type NewHub, NewHubAnswer, parseWith, PublicKeyLine } from "@hardshare/protocol";
import { httpRequest, readTextIfThere, writeFileDurably } from "@hardshare/runtime";
import { registrationToSign, sendRegistration } from "@hardshare/wire/node";
import { signWith } from "@hardshare/wire/ssh";
import * as z from "zod";
import type { HubKeys } from "./keys.ts";

/** `hub.json`: what registering made known. */
const Registration = z.object({ id: HubId, serverKey: PublicKeyLine });
export type Registration = z.infer<typeof Registration>;

export interface RegistrationOptions {
  dataFolder: string;
  /** Address of the server, without a slash at its end. */
  serverUrl: string;
  /** API token of a superuser; needed for the first start only. */
  token?: string | undefined;
  /** Name for people. */
  name: string;
  keys: HubKeys;
}

/**
 * Registers the hub once: the server pins its keys, it pins the server's. Afterwards reads what was pinned.
 * @throws AppError `not_configured` (not registered and no token), `server_unreachable`, what the server answers,
 *   `config_invalid` when `hub.json` is damaged
 */
export async function ensureRegistered(options: RegistrationOptions): Promise<Registration> {
  const path = join(options.dataFolder, "hub.json");
  const text = await readTextIfThere(path);
  if (text !== undefined) return parseWith(Registration, parseJson(text), path, "config_invalid");
  const registration = await register(options);
  await writeFileDurably(path, `${JSON.stringify(registration, null, 2)}\n`);
  return registration;
}

async function register({ serverUrl, token, name, keys }: RegistrationOptions): Promise<Registration> {
  if (token === undefined) {
    throw new AppError("not_configured", "this hub is not registered yet: start it once with the token of a superuser (--token-file)");
  }
  const { identity, sshHost } = keys;
  const body: z.infer<typeof NewHub> = {
    key: identity.publicKey,
    sshHostKey: sshHost.publicKey,
    name,
    signature: signWith(identity.privateKey, registrationToSign("hub", identity.publicKey, token)),
  };
  const answer = await sendRegistration({
    server: serverUrl,
    path: "/hubs/register",
    token,
    body,
    answer: NewHubAnswer,
    send: httpRequest,
  });
  return parseWith(Registration, answer, `answer of ${serverUrl}`, "protocol_violation");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
