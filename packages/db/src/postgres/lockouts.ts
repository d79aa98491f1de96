import type { LockoutStore } from "../stores/lockouts.ts";
import { events } from "./events.ts";
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
