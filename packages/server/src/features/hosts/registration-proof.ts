import { AppError, registerTranscript } from "@hardshare/protocol";
import { verifyWith } from "@hardshare/wire/ssh";
import type { Caller } from "../../http/caller.ts";

/** @throws AppError `identity_refused` unless whoever registers holds the private key */
export function requireProof(role: "host" | "hub", key: string, caller: Caller, signature: string, field: string): void {
  if (verifyWith(key, registerTranscript(role, key, caller.tokenSha256), signature)) return;
  throw new AppError("identity_refused", `${field}: expected the signature of the registration by the ${role}'s Ed25519 identity key`, {
    details: { field },
  });
}
