import type { Database, InstanceDetails, Transaction } from "@hardshare/db";
import { AppError, InstanceId, parseWith } from "@hardshare/protocol";
import * as z from "zod";
import { type Caller, canWrite } from "../../http/caller.ts";
import { isOwner } from "../deployments/ownership.ts";

/** What a caller can be to an instance: its user, the owner of its deployment, a superuser; also several of them. */
export type InstanceRole = "user" | "owner" | "superuser";

const Path = z.object({ id: InstanceId });

/** The instance id in a path `/…/:id`. @throws AppError `bad_input` when it is no UUID */
export function instanceIdIn(params: unknown): InstanceId {
  return parseWith(Path, params, "path").id;
}

/**
 * All that the caller is to the instance. A token with the claim `in` makes its holder the user of that instance and
 * nothing else (rerobots-http-api.md §1.0).
 */
export function rolesOf(caller: Caller, of: { instanceId: InstanceId; user: string; owner: string }): InstanceRole[] {
  if (caller.claims.in !== undefined) {
    if (caller.claims.in !== of.instanceId) throw new AppError("token_scope", "token already constrained to another instance");
    return ["user"];
  }
  const roles: InstanceRole[] = [];
  if (of.user === caller.user) roles.push("user");
  if (isOwner(caller, of.owner)) roles.push("owner");
  if (caller.isSuperuser) roles.push("superuser");
  return roles;
}

export function instanceNotFound(id: string): AppError {
  return new AppError("not_found", "instance not found", { details: { field: "id", id } });
}

/**
 * An instance, for a caller who is one of `roles` to it, and the first of these; to others it does not exist.
 * @throws AppError `not_found`, `token_scope`
 */
export async function getInstanceAs(
  database: Database,
  tx: Transaction,
  query: { id: InstanceId; caller: Caller; roles: readonly InstanceRole[] },
): Promise<InstanceDetails & { role: InstanceRole }> {
  const found = await database.instances.get(tx, query.id);
  const held =
    found === null
      ? []
      : rolesOf(query.caller, { instanceId: found.instance.id, user: found.instance.user, owner: found.deployment.owner });
  const role = query.roles.find((each) => held.includes(each));
  if (found === null || role === undefined) throw instanceNotFound(query.id);
  return { ...found, role };
}

/** @throws AppError `token_scope` when the token may only read */
export function requireInstanceWriter(caller: Caller): void {
  if (!canWrite(caller.claims)) throw new AppError("token_scope", "token scope does not permit changing an instance");
}
