import type { EventStore } from "../stores/events.ts";
import { sqlOf } from "./transaction.ts";

export const events: EventStore = {
  async append(tx, event) {
    if (event.instanceId !== null) {
      // Held until the commit, so that the ids of one instance's events become visible in their order.
      await sqlOf(tx).selectFrom("instances").select("id").where("id", "=", event.instanceId).forNoKeyUpdate().execute();
    }
    return await sqlOf(tx)
      .insertInto("events")
      .values({ ...event, data: JSON.stringify(event.data) })
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
