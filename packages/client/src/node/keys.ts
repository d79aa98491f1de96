import type { KeyPair } from "@hardshare/wire/ssh";

// The SSH library is loaded when it is needed: a tunnel, which a person waits for, starts without it.

/** A new Ed25519 key pair; the private key is an unencrypted OpenSSH key file. */
export async function makeKeyPair(comment: string): Promise<KeyPair> {
  const { generateIdentity } = await import("@hardshare/wire/ssh");
  return generateIdentity(comment);
}

/** Whether the SSH library uses its native crypto here, or plain JavaScript, which is slower. */
export async function usesNativeCrypto(): Promise<boolean> {
  const ssh = await import("@hardshare/wire/ssh");
  return ssh.usesNativeCrypto();
}
