import { createHash } from "node:crypto";
import { AppError, PublicKeyLine } from "@hardshare/protocol";
import ssh2 from "ssh2";

/** A public key of OpenSSH: `blob` is the decoded base64 (RFC 4253, section 6.6), which alone identifies the key. */
export interface SshPublicKey {
  type: string;
  blob: Buffer;
  comment: string;
}

/** How many length-prefixed fields follow the type in keys of security tokens (OpenSSH, PROTOCOL.u2f), which ssh2 can't parse. */
const TOKEN_KEY_FIELDS: Record<string, number> = {
  "sk-ssh-ed25519@openssh.com": 2,
  "sk-ecdsa-sha2-nistp256@openssh.com": 3,
};

/**
 * Reads one line of an OpenSSH public key (`type base64 [comment]`), down to the numbers inside.
 * @throws AppError `bad_input` when it is malformed
 */
export function parsePublicKey(line: string): SshPublicKey {
  const checked = PublicKeyLine.safeParse(line);
  const [, type = "", base64 = "", comment = ""] = /^(\S+) (\S+) ?(.*)$/s.exec(checked.success ? checked.data : "") ?? [];
  const blob = Buffer.from(base64, "base64");
  if (!checked.success || readFields(blob)?.[0]?.toString() !== type || !isComplete(type, blob, `${type} ${base64}`)) {
    throw new AppError(
      "bad_input",
      `"${excerpt(line)}" is no public key of OpenSSH; give one whole line such as "ssh-ed25519 AAAA… name" (the content of a .pub file)`,
      { details: { field: "public key", expected: "type base64 [comment]" } },
    );
  }
  return { type, blob, comment };
}

/** Whether two lines hold the same key; comments don't count. @throws AppError `bad_input` when one is malformed */
export function sameKey(a: string, b: string): boolean {
  return parsePublicKey(a).blob.equals(parsePublicKey(b).blob);
}

/** The fingerprint as OpenSSH prints it: `SHA256:` and 43 characters. @throws AppError `bad_input` when malformed */
export function fingerprintOf(publicKeyLine: string): string {
  const { blob } = parsePublicKey(publicKeyLine);
  return `SHA256:${createHash("sha256").update(blob).digest("base64").replace(/=+$/, "")}`;
}

function isComplete(type: string, blob: Buffer, line: string): boolean {
  const tokenFields = TOKEN_KEY_FIELDS[type];
  if (tokenFields !== undefined) return readFields(blob)?.length === 1 + tokenFields;
  if (type === "ssh-ed25519" && readFields(blob)?.[1]?.length !== 32) return false;
  try {
    return !(ssh2.utils.parseKey(line) instanceof Error);
  } catch {
    return false;
  }
}

/** The length-prefixed fields of a key, or undefined when they don't fill it exactly. */
function readFields(blob: Buffer): Buffer[] | undefined {
  const fields: Buffer[] = [];
  let at = 0;
  while (at < blob.length) {
    if (at + 4 > blob.length) return undefined;
    const end = at + 4 + blob.readUInt32BE(at);
    if (end > blob.length) return undefined;
    fields.push(blob.subarray(at + 4, end));
    at = end;
  }
  return fields;
}

function excerpt(line: string): string {
  const flat = line.replace(/\s+/g, " ").trim();
  return flat.length > 40 ? `${flat.slice(0, 40)}…` : flat;
}
