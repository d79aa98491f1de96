import * as z from "zod";

/**
 * How both ends of a channel prove their identity keys (Ed25519) before anything else is said:
 *
 *   server → peer  challenge {serverNonce}
 *   peer → server  hello     {peerNonce, signature by the peer's identity key, …}
 *   server → peer  welcome   {signature by the server's identity key}   or   refused {code, message}
 *
 * Each signs its own label and both nonces, so that no signature can be replayed or reflected.
 */
export const CHANNEL_VERSION = 1;
/** Oldest version of the channel that this server and this client still speak. */
export const OLDEST_CHANNEL_VERSION = 1;

export type PeerRole = "host" | "hub";

/** 32 random bytes in base64. */
const Nonce = z.base64().length(44);
const Signature = z.base64().max(128);

export const Challenge = z.object({
  type: z.literal("challenge"),
  oldestVersion: z.int(),
  newestVersion: z.int(),
  nonce: Nonce,
});
export type Challenge = z.infer<typeof Challenge>;

/** The part of `hello` that hosts and hubs share. `session` is new for each process: a cloned card is told by it. */
export const HelloBase = z.object({
  type: z.literal("hello"),
  version: z.int(),
  id: z.string(),
  session: z.string().min(8).max(64),
  nonce: Nonce,
  signature: Signature,
});

export const Welcome = z.object({
  type: z.literal("welcome"),
  version: z.int(),
  signature: Signature,
  /** The server's identity key, as an OpenSSH public key line; the peer compares it with the pinned one. */
  serverKey: z.string(),
  serverTime: z.iso.datetime(),
});
export type Welcome = z.infer<typeof Welcome>;

export const Refused = z.object({ type: z.literal("refused"), code: z.string(), message: z.string() });
export type Refused = z.infer<typeof Refused>;

/** Text that the peer signs in `hello`. */
export function peerTranscript(role: PeerRole, id: string, serverNonce: string, peerNonce: string): string {
  return ["hardshare-channel-1", role, id, serverNonce, peerNonce].join("\n");
}

/** Text that the server signs in `welcome`. */
export function serverTranscript(role: PeerRole, id: string, serverNonce: string, peerNonce: string): string {
  return ["hardshare-channel-1", "server", role, id, peerNonce, serverNonce].join("\n");
}
