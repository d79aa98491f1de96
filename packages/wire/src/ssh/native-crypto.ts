import { createRequire } from "node:module";

/** Whether the SSH library uses its native crypto here (built where a compiler and Node's headers are) or plain JavaScript. */
export function usesNativeCrypto(): boolean {
  const { bindingAvailable } = createRequire(import.meta.url)("ssh2/lib/protocol/crypto.js") as { bindingAvailable: boolean };
  return bindingAvailable;
}
