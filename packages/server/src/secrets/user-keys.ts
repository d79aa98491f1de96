import { generateKeyPair } from "node:crypto";
import { promisify } from "node:util";
import { publicKeyOf } from "@hardshare/wire/ssh";

/** RSA, because the Python library's paramiko loads nothing else (rerobots-http-api.md §1.1); 2048 bits for the hours that an instance lives. */
const USER_KEY_BITS = 2048;

/** A key pair for a user who brought none: the private key PKCS#1 PEM, the public key one OpenSSH line. Made off the event loop. */
export async function makeUserKey(comment: string): Promise<{ privateKey: string; publicKey: string }> {
  const pair = await promisify(generateKeyPair)("rsa", { modulusLength: USER_KEY_BITS });
  const privateKey = pair.privateKey.export({ type: "pkcs1", format: "pem" }).toString();
  return { privateKey, publicKey: publicKeyOf(privateKey, comment) };
}
