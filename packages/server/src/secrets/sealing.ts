import { createCipheriv, createDecipheriv } from "node:crypto";
import type { Random } from "@hardshare/runtime";

const IV_BYTES = 12; // NIST SP 800-38D §8.2: 96 bits for GCM
const TAG_BYTES = 16;

/**
 * Encrypts a secret for the store (AES-256-GCM), bound to what it belongs to: sealed text of one row does not open in another.
 * @returns iv, tag and cipher text
 */
export function seal(key: Buffer, secret: string, belongsTo: string, random: Random): Uint8Array {
  const iv = random.bytes(IV_BYTES);
  const cipher = createCipheriv("aes-256-gcm", key, iv);
  cipher.setAAD(Buffer.from(belongsTo));
  const body = Buffer.concat([cipher.update(secret, "utf8"), cipher.final()]);
  return Buffer.concat([iv, cipher.getAuthTag(), body]);
}

/** Opens what `seal` made. Throws when key, text or `belongsTo` differ. */
export function unseal(key: Buffer, sealed: Uint8Array, belongsTo: string): string {
  const bytes = Buffer.from(sealed);
  const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, IV_BYTES));
  decipher.setAAD(Buffer.from(belongsTo));
  decipher.setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
  return Buffer.concat([decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES)), decipher.final()]).toString("utf8");
}
