import type { Database, InstanceDetails, Transaction } from "@hardshare/db";
import { AppError, InstanceId, parseWith } from "@hardshare/protocol";
import { z } from "zod";
import { type Caller, canWrite } from "../../http/caller.ts";
import { isOwner } from "../deployments/ownership.ts";

/** What the caller is to an instance: its user, the owner of its deployment, or a superuser who is neither. */
export type InstanceRole = "user" | "owner" | "superuser";

const Path = z.object({ id: InstanceId });

/** The instance id in a path `/…/:id`. @throws AppError `bad_input` when it is no UUID */
export function instanceIdIn(params: unknown): InstanceId {
  return parseWith(Path, params, "path").id;
}

/** A token with the claim `in` makes its holder the user of that instance and nothing else (rerobots-http-api.md §1.0). */
function roleOf(caller: Caller, found: InstanceDetails): InstanceRole | null {
  if (caller.claims.in !== undefined) {
    if (caller.claims.in !== found.instance.id) throw new AppError("token_scope", "token already constrained to another instance");
    return "user";
  }
  if (found.instance.user === caller.user) return "user";
  if (isOwner(caller, found.deployment.owner)) return "owner";
  return caller.isSuperuser ? "superuser" : null;
}

export function instanceNotFound(id: string): AppError {
  return new AppError("not_found", "instance not found", { details: { field: "id", id } });
}

/**
 * An instance, for a caller who is one of `roles` to it; to others it does not exist.
 * @throws AppError `not_found`, `token_scope`
 */
export async function getInstanceAs(
  database: Database,
  tx: Transaction,
  query: { id: InstanceId; caller: Caller; roles: readonly InstanceRole[] },
): Promise<InstanceDetails & { role: InstanceRole }> {
  const found = await database.instances.get(tx, query.id);
  const role = found === null ? null : roleOf(query.caller, found);
  if (found === null || role === null || !query.roles.includes(role)) throw instanceNotFound(query.id);
  return { ...found, role };
}

/** @throws AppError `token_scope` when the token may only read */
export function requireInstanceWriter(caller: Caller): void {
  if (!canWrite(caller.claims)) throw new AppError("token_scope", "token scope does not permit changing an instance");
}
