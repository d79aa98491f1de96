import { generateKeyPairSync, randomBytes } from "node:crypto";
import { AppError } from "@hardshare/protocol";
import ssh2 from "ssh2";
import { parsePublicKey } from "./public-key.ts";

/** A key pair: the private key as text of a key file, the public key as one OpenSSH line. */
export interface KeyPair {
  privateKey: string;
  publicKey: string;
}

/** Both forms of a key end with its number (RFC 8410, §4 and §7). */
const NUMBER_BYTES = 32;

/**
 * A new Ed25519 key pair; the private key is an unencrypted OpenSSH key file.
 * (Written here because ssh2's own generator drops leading zero bytes: one key in 256 is unusable.)
 */
export function generateIdentity(comment: string): KeyPair {
  const flatComment = comment.replace(/\s+/g, " ").trim();
  // Not as JWK: when Node 20 tidies memory up while it writes that of a key that it has just made, it waits for itself for ever.
  const pair = generateKeyPairSync("ed25519", {
    privateKeyEncoding: { type: "pkcs8", format: "der" },
    publicKeyEncoding: { type: "spki", format: "der" },
  });
  const publicNumber = pair.publicKey.subarray(-NUMBER_BYTES);
  const secret = Buffer.concat([pair.privateKey.subarray(-NUMBER_BYTES), publicNumber]);
  const blob = Buffer.concat([field("ssh-ed25519"), field(publicNumber)]);
  return { privateKey: opensshKeyFile(blob, secret, flatComment), publicKey: publicKeyLine("ssh-ed25519", blob, flatComment) };
}

/** A new RSA key pair of 3072 bits, for users whose SSH client can't read Ed25519 keys; the private key is PKCS#1 PEM. */
export function generateRsaKeyPair(comment = ""): KeyPair {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 3072 });
  const pem = privateKey.export({ type: "pkcs1", format: "pem" }).toString();
  return { privateKey: pem, publicKey: publicKeyOf(pem, comment) };
}

/** The public line of a private key file. @throws AppError `bad_input` when it is no unencrypted private key */
export function publicKeyOf(privateKey: string, comment = ""): string {
  const key = parsePrivateKey(privateKey);
  return publicKeyLine(key.type, key.getPublicSSH(), comment);
}

/** Signs a text. @returns base64 @throws AppError `bad_input` when `privateKey` is no unencrypted private key */
export function signWith(privateKey: string, text: string): string {
  return parsePrivateKey(privateKey).sign(text).toString("base64");
}

/**
 * Whether `signature` (base64) is that of `text` by this Ed25519 key; false for keys of other types.
 * @throws AppError `bad_input` when the key line is malformed
 */
export function verifyWith(publicKeyLine: string, text: string, signature: string): boolean {
  const { type, blob } = parsePublicKey(publicKeyLine);
  const bytes = Buffer.from(signature, "base64");
  if (type !== "ssh-ed25519" || bytes.length !== 64) return false;
  const key = ssh2.utils.parseKey(`${type} ${blob.toString("base64")}`);
  if (key instanceof Error) return false;
  const result: unknown = key.verify(text, bytes); // an Error, whatever its type says, when it could not check
  return result === true;
}

function parsePrivateKey(privateKey: string): ssh2.ParsedKey {
  let parsed: ssh2.ParsedKey | Error;
  try {
    parsed = ssh2.utils.parseKey(privateKey);
  } catch (cause) {
    parsed = new Error("malformed", { cause });
  }
  if (parsed instanceof Error || !parsed.isPrivateKey()) {
    throw new AppError("bad_input", "expected an unencrypted private key in OpenSSH or PEM format", {
      details: { field: "private key" },
      ...(parsed instanceof Error ? { cause: parsed } : {}),
    });
  }
  return parsed;
}

function publicKeyLine(type: string, blob: Buffer, comment: string): string {
  return `${type} ${blob.toString("base64")}${comment === "" ? "" : ` ${comment}`}`;
}

/** The file format of OpenSSH's PROTOCOL.key, without encryption. */
function opensshKeyFile(blob: Buffer, secret: Buffer, comment: string): string {
  const check = randomBytes(4);
  const inner = Buffer.concat([check, check, blob, field(secret), field(comment)]);
  const padding = Buffer.from(Array.from({ length: (8 - (inner.length % 8)) % 8 }, (_, index) => index + 1));
  const count = Buffer.from([0, 0, 0, 1]);
  const file = Buffer.concat([
    Buffer.from("openssh-key-v1\0"),
    field("none"),
    field("none"),
    field(""),
    count,
    field(blob),
    field(Buffer.concat([inner, padding])),
  ]);
  const lines = file.toString("base64").match(/.{1,70}/g) ?? [];
  return ["-----BEGIN OPENSSH PRIVATE KEY-----", ...lines, "-----END OPENSSH PRIVATE KEY-----", ""].join("\n");
}

function field(content: string | Buffer): Buffer {
  const bytes = Buffer.from(content);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
