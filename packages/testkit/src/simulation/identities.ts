import { generateIdentity, type KeyPair } from "@hardshare/wire/ssh";

const MADE: KeyPair[] = [];

/** The key pair of this number: made once for all simulations of a process, which do not depend on what the keys are. */
export function identityOf(index: number): KeyPair {
  while (MADE.length <= index) MADE.push(generateIdentity(`simulated ${MADE.length}`));
  return MADE[index] as KeyPair;
}

/** The SSH host key of simulated containers, an OpenSSH public key line. */
export function readHostKeyLine(): string {
  return identityOf(0).publicKey;
}
