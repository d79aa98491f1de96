import { readTextIfThere } from "@hardshare/runtime";
import { AppError } from "@hardshare/protocol";
import { type KeyPair, publicKeyOf } from "@hardshare/wire/ssh";
import { identityFile } from "./host-config.ts";

/** The host's identity key. @throws AppError `not_configured` when there is none */
export async function readIdentity(home: string): Promise<KeyPair> {
  const path = identityFile(home);
  const privateKey = await readTextIfThere(path);
  if (privateKey === undefined) {
    throw new AppError("not_configured", `the identity key of this host is missing: ${path}; run \`hardshare init\` first`);
  }
  return { privateKey, publicKey: publicKeyOf(privateKey, "hardshare host") };
}
