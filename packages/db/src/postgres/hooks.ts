import { type HookStore, MAX_WAITING_DELIVERIES } from "../stores/hooks.ts";
import { sqlOf } from "./transaction.ts";

export const hooks: HookStore = {
  async list(tx, deploymentId) {
    return await sqlOf(tx)
      .selectFrom("hooks")
      .selectAll()
      .where("deploymentId", "=", deploymentId)
      .orderBy("createdAt")
      .orderBy("id")
      .execute();
  },

  async replace(tx, { deploymentId, kind, hooks: wanted, at }) {
    const targets = wanted.map(({ target }) => target);
    await sqlOf(tx)
      .deleteFrom("hooks")
      .where("deploymentId", "=", deploymentId)
      .where("kind", "=", kind)
      .$if(targets.length > 0, (query) => query.where("target", "not in", targets))
      .execute();
    if (wanted.length === 0) return;
    await sqlOf(tx)
      .insertInto("hooks")
      .values(
        wanted.map(({ id, target, secretEncrypted }) => ({
          id,
          deploymentId,
          kind,
          target,
          secretEncrypted: secretEncrypted === null ? null : Buffer.from(secretEncrypted),
          createdAt: at,
          deliveredAt: null,
          problem: null,
        })),
      )
      .onConflict((conflict) => conflict.columns(["deploymentId", "kind", "target"]).doNothing())
      .execute();
  },

  async enqueue(tx, { id, hookId, body, at }) {
    const hook = await sqlOf(tx).selectFrom("hooks").select("id").where("id", "=", hookId).forKeyShare().executeTakeFirst();
    if (hook === undefined) return false;
    const { waiting } = await sqlOf(tx)
      .selectFrom("deliveries")
      .select((eb) => eb.fn.countAll<number>().as("waiting"))
      .where("hookId", "=", hookId)
      .executeTakeFirstOrThrow();
    if (waiting >= MAX_WAITING_DELIVERIES) return false;
    await sqlOf(tx).insertInto("deliveries").values({ id, hookId, body, createdAt: at, nextAttemptAt: at }).execute();
    return true;
  },

  async take(tx, { at, leaseUntil, limit }) {
    const rows = await sqlOf(tx)
      .with("due", (sql) =>
        sql
          .selectFrom("deliveries")
          .select("id")
          .where("nextAttemptAt", "<=", at)
          .orderBy("nextAttemptAt")
          .orderBy("id")
          .limit(limit)
          .forUpdate()
          .skipLocked(),
      )
      .with("taken", (sql) =>
        sql
          .updateTable("deliveries as d")
          .from("due")
          .set((eb) => ({ attempts: eb("d.attempts", "+", 1), nextAttemptAt: leaseUntil }))
          .whereRef("d.id", "=", "due.id")
          .returning(["d.id as deliveryId", "d.hookId", "d.body", "d.createdAt as queuedAt", "d.attempts"]),
      )
      .selectFrom("taken")
      .innerJoin("hooks", "hooks.id", "taken.hookId")
      .selectAll("hooks")
      .select(["taken.deliveryId", "taken.body", "taken.queuedAt", "taken.attempts"])
      .orderBy("taken.queuedAt")
      .orderBy("taken.deliveryId")
      .execute();
    return rows.map(({ deliveryId, body, queuedAt, attempts, ...hook }) => ({ id: deliveryId, hook, body, createdAt: queuedAt, attempts }));
  },

  async nextAttempt(tx) {
    const row = await sqlOf(tx)
      .selectFrom("deliveries")
      .select((eb) => eb.fn.min<Date | null>("nextAttemptAt").as("next"))
      .executeTakeFirst();
    return row?.next ?? null;
  },

  async settle(tx, { id, at, result }) {
    const row = await sqlOf(tx).selectFrom("deliveries").select("hookId").where("id", "=", id).forUpdate().executeTakeFirst();
    if (row === undefined) return;
    const isDelivered = result === "delivered";
    await sqlOf(tx)
      .updateTable("hooks")
      .set(isDelivered ? { deliveredAt: at, problem: null } : { problem: result.problem })
      .where("id", "=", row.hookId)
      .execute();
    if (isDelivered || result.nextAttemptAt === null) await sqlOf(tx).deleteFrom("deliveries").where("id", "=", id).execute();
    else await sqlOf(tx).updateTable("deliveries").set({ nextAttemptAt: result.nextAttemptAt }).where("id", "=", id).execute();
  },
};
