import { AppError } from "@hardshare/protocol";
import type { Caller } from "../../http/caller.ts";

/** In whose name the caller owns what it registers: the token's organisation, else the user. */
export function ownerNameOf(caller: Caller): string {
  return caller.org ?? caller.user;
}

/** Whether the caller owns it: as a user, or with a token of the organisation. Guests own nothing. */
export function isOwner(caller: Caller, owner: string): boolean {
  return !caller.isGuest && (owner === caller.user || owner === caller.org);
}

/** @throws AppError `access_denied` unless the caller is the owner or superuser */
export function requireOwner(caller: Caller, deployment: { id: string; owner: string }): void {
  if (caller.isSuperuser || isOwner(caller, deployment.owner)) return;
  throw new AppError("access_denied", `only the owner of workspace deployment ${deployment.id} may do this`, {
    details: { owner: deployment.owner },
  });
}
