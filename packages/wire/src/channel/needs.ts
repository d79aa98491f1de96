/** The parts of time, randomness, logging and cryptography that a channel uses; callers pass those of their program. */
export interface ChannelClock {
  monotonicMs(): number;
  after(delayMs: number, run: () => void): Disposable;
}

export interface ChannelRandom {
  bytes(length: number): Uint8Array;
}

export interface ChannelLogger {
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
}

/** Signatures by identity keys (Ed25519); see `@hardshare/wire/ssh`. */
export interface ChannelCrypto {
  /** Signature of a text, in base64. */
  sign(privateKey: string, text: string): string;
  verify(publicKeyLine: string, text: string, signature: string): boolean;
  /** Whether two public key lines hold the same key, whatever their comments. */
  sameKey(a: string, b: string): boolean;
}

/** The part of a zod schema that a channel uses. */
export interface MessageSchema<Message> {
  safeParse(data: unknown): { success: true; data: Message } | { success: false; error: { message: string } };
}
