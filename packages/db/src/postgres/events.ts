import { sql } from "kysely";
import type { EventStore } from "../stores/events.ts";
import { sqlOf } from "./transaction.ts";

export const events: EventStore = {
  async append(tx, event) {
    const { at, deploymentId, instanceId, kind, actor } = event;
    const data = JSON.stringify(event.data);
    if (instanceId === null) {
      return await sqlOf(tx)
        .insertInto("events")
        .values({ ...event, data })
        .returningAll()
        .executeTakeFirstOrThrow();
    }
    // The instance's row is held until the commit, and taken before the id is: the ids of its events become visible in their order.
    return await sqlOf(tx)
      .with("held", (db) => db.selectFrom("instances").select("id").where("id", "=", instanceId).forNoKeyUpdate())
      .insertInto("events")
      .columns(["at", "deploymentId", "instanceId", "kind", "actor", "data"])
      .expression((eb) =>
        eb
          .selectFrom(sql`(select 1)`.as("one_row"))
          .leftJoin("held", (join) => join.onTrue())
          .select((row) => [
            row.val(at).as("at"),
            row.val(deploymentId).as("deploymentId"),
            row.fn.coalesce("held.id", row.val(instanceId)).as("instanceId"), // an unknown one breaks the foreign key
            row.val(kind).as("kind"),
            row.val(actor).as("actor"),
            row.val(data).as("data"),
          ]),
      )
      .returningAll()
      .executeTakeFirstOrThrow();
  },

  async listOfInstance(tx, { instanceId, afterId, limit }) {
    return await sqlOf(tx)
      .selectFrom("events")
      .selectAll()
      .where("instanceId", "=", instanceId)
      .where("id", ">", afterId)
      .orderBy("id")
      .limit(limit)
      .execute();
  },

  async listNewestOfDeployment(tx, { deploymentId, kinds, limit }) {
    if (kinds.length === 0) return [];
    return await sqlOf(tx)
      .selectFrom("events")
      .selectAll()
      .where("deploymentId", "=", deploymentId)
      .where("kind", "in", kinds)
      .orderBy("id", "desc")
      .limit(limit)
      .execute();
  },
};
