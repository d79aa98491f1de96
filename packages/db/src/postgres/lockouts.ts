import type { DeploymentId, InstanceId } from "@hardshare/protocol";
import type { Kysely } from "kysely";
import type { LockoutStore } from "../stores/lockouts.ts";
import { events } from "./events.ts";
import type { Tables } from "./tables.ts";
import { sqlOf } from "./transaction.ts";

export const lockouts: LockoutStore = {
  async add(tx, lockout) {
    const inserted = await sqlOf(tx)
      .insertInto("lockouts")
      .values({ ...lockout, liftedAt: null, liftedBy: null })
      .onConflict((conflict) => conflict.doNothing())
      .returning("id")
      .execute();
    if (inserted.length === 0) return false;
    const { id, deploymentId, instanceId, kind, reason, actor, at } = lockout;
    await events.append(tx, { at, deploymentId, instanceId, kind: "lockout", actor, data: { change: "set", id, cause: kind, reason } });
    return true;
  },

  async lift(tx, { deploymentId, kind, actor, at }) {
    const rows = await sqlOf(tx)
      .with("lifted", (sql) =>
        sql
          .updateTable("lockouts")
          .set({ liftedAt: at, liftedBy: actor })
          .where("deploymentId", "=", deploymentId)
          .where("liftedAt", "is", null)
          .$if(kind !== undefined, (query) => query.where("kind", "=", kind ?? "person"))
          .returning(["id", "deploymentId", "instanceId", "kind", "reason", "actor", "at"]),
      )
      .selectFrom("lifted")
      .selectAll()
      .orderBy("at")
      .orderBy("id")
      .execute();
    for (const { id, kind: cause, reason } of rows) {
      await events.append(tx, {
        at,
        deploymentId,
        instanceId: null,
        kind: "lockout",
        actor,
        data: { change: "lifted", id, cause, reason },
      });
    }
    return rows;
  },

  async list(tx, deploymentId) {
    return await sqlOf(tx)
      .selectFrom("lockouts")
      .select(["id", "deploymentId", "instanceId", "kind", "reason", "actor", "at"])
      .where("deploymentId", "=", deploymentId)
      .where("liftedAt", "is", null)
      .orderBy("at")
      .orderBy("id")
      .execute();
  },
};

/** The instances whose end a host has yet to confirm, of those of these deployments that are locked out for it; the newest of each. */
export async function findUnconfirmed(
  db: Kysely<Tables>,
  deployments: readonly { id: DeploymentId; lockout: unknown }[],
): Promise<Map<DeploymentId, InstanceId>> {
  const locked = deployments.filter(({ lockout }) => lockout !== null).map(({ id }) => id);
  if (locked.length === 0) return new Map();
  const rows = await db
    .selectFrom("lockouts")
    .select(["deploymentId", "instanceId"])
    .where("deploymentId", "in", locked)
    .where("kind", "=", "host_not_confirmed")
    .where("liftedAt", "is", null)
    .orderBy("at")
    .orderBy("id")
    .execute();
  return new Map(rows.flatMap(({ deploymentId, instanceId }) => (instanceId === null ? [] : [[deploymentId, instanceId] as const])));
}
