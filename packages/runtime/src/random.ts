import { randomBytes, randomUUID } from "node:crypto";

/** Randomness as an argument. */
export interface Random {
  /** A number in [0, 1). For jitter only, never for secrets. */
  fraction(): number;
  /** Bytes fit for secrets. */
  bytes(length: number): Buffer;
  uuid(): string;
}

export const systemRandom: Random = {
  fraction: () => Math.random(),
  bytes: (length) => randomBytes(length),
  uuid: () => randomUUID(),
};
