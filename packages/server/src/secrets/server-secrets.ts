import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from "node:crypto";
import { join } from "node:path";
import { promisify } from "node:util";
import { AppError } from "@hardshare/protocol";
import { makePrivateFolder, type Random, readTextIfThere, writeFileDurably } from "@hardshare/runtime";
import { generateIdentity } from "@hardshare/wire/ssh";

/** Keys of one server, made at its first start. Replicas of one server share them: copy the files. */
export interface ServerSecrets {
  /** RSA key that signs API tokens. */
  tokenKey: KeyObject;
  /** Its public half, PEM: what clients verify tokens with. */
  tokenPublicPem: string;
  /** Ed25519 key by which hosts and hubs know this server. */
  identity: { privateKey: string; publicKey: string };
  /** 32 bytes that seal what is encrypted in the store. */
  sealingKey: Buffer;
}

/** RSA bits of the token key; what existing clients' libraries verify (RS256). */
const TOKEN_KEY_BITS = 2048;
const SEALING_KEY_BYTES = 32;

/** Reads the server's keys from its data folder; makes those that are missing. Private ones are readable by the server's user only. */
export async function openServerSecrets(dataFolder: string, random: Random): Promise<ServerSecrets> {
  await makePrivateFolder(dataFolder);
  const tokenPem = await readOrMake(join(dataFolder, "token-signing.pem"), makeTokenKey);
  const tokenKey = createPrivateKey(tokenPem);
  const tokenPublicPem = createPublicKey(tokenKey).export({ type: "spki", format: "pem" }).toString();
  await readOrMake(join(dataFolder, "token-public.pem"), async () => tokenPublicPem, 0o644);
  const identity = await openIdentity(dataFolder);
  const sealing = await readOrMake(join(dataFolder, "sealing.key"), async () => `${random.bytes(SEALING_KEY_BYTES).toString("base64")}\n`);
  const sealingKey = Buffer.from(sealing, "base64");
  if (sealingKey.length !== SEALING_KEY_BYTES) {
    throw new AppError("config_invalid", `${join(dataFolder, "sealing.key")}: expected 32 bytes in base64; restore the file from a backup`);
  }
  return { tokenKey, tokenPublicPem, identity, sealingKey };
}

async function openIdentity(dataFolder: string): Promise<ServerSecrets["identity"]> {
  const [privatePath, publicPath] = [join(dataFolder, "identity"), join(dataFolder, "identity.pub")];
  const [privateKey, publicKey] = await Promise.all([readTextIfThere(privatePath), readTextIfThere(publicPath)]);
  if (privateKey !== undefined && publicKey !== undefined) return { privateKey, publicKey: publicKey.trim() };
  if (privateKey !== undefined) {
    throw new AppError(
      "config_invalid",
      `${publicPath} is missing beside ${privatePath}; restore it: ssh-keygen -y -f ${privatePath} > ${publicPath}`,
    );
  }
  const made = generateIdentity("hardshare-server");
  // The public half first: a crash in between leaves no private key without its public one.
  await writeFileDurably(publicPath, `${made.publicKey.trim()}\n`, 0o644);
  await writeFileDurably(privatePath, made.privateKey);
  return { privateKey: made.privateKey, publicKey: made.publicKey.trim() };
}

async function readOrMake(path: string, make: () => Promise<string>, mode = 0o600): Promise<string> {
  const present = await readTextIfThere(path);
  if (present !== undefined) return present;
  const made = await make();
  await writeFileDurably(path, made, mode);
  return made;
}

async function makeTokenKey(): Promise<string> {
  const pair = await promisify(generateKeyPair)("rsa", { modulusLength: TOKEN_KEY_BITS });
  return pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}
