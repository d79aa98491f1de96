import { LIVE_STATES } from "@hardshare/protocol";
import type { Selectable } from "kysely";
import type { Hub, HubStore } from "../stores/hubs.ts";
import { withoutComment } from "./public-keys.ts";
import type { HubsTable } from "./tables.ts";
import { sqlOf } from "./transaction.ts";

/** The row as features see it. */
export function toHub({ publicHost, sshPort, firstPort, lastPort, ...row }: Selectable<HubsTable>): Hub {
  const isComplete = publicHost !== null && sshPort !== null && firstPort !== null && lastPort !== null;
  return { ...row, address: isComplete ? { publicHost, sshPort, firstPort, lastPort } : null };
}

export const hubs: HubStore = {
  async register(tx, { id, name, publicKey, sshHostKey, at }) {
    const key = withoutComment(publicKey);
    const unknown = { publicHost: null, sshPort: null, firstPort: null, lastPort: null };
    const absent = { lastConnectedAt: null, lastSeenAt: null, softwareVersion: null };
    await sqlOf(tx)
      .insertInto("hubs")
      .values({ id, name, publicKey: key, sshHostKey: withoutComment(sshHostKey), registeredAt: at, ...unknown, ...absent })
      .onConflict((conflict) => conflict.column("publicKey").doNothing())
      .execute();
    return toHub(await sqlOf(tx).selectFrom("hubs").selectAll().where("publicKey", "=", key).executeTakeFirstOrThrow());
  },

  async get(tx, id) {
    const row = await sqlOf(tx).selectFrom("hubs").selectAll().where("id", "=", id).executeTakeFirst();
    return row === undefined ? null : toHub(row);
  },

  async getByKey(tx, publicKey) {
    const row = await sqlOf(tx).selectFrom("hubs").selectAll().where("publicKey", "=", withoutComment(publicKey)).executeTakeFirst();
    return row === undefined ? null : toHub(row);
  },

  async recordConnection(tx, { hubId, softwareVersion, address, at }) {
    await sqlOf(tx)
      .updateTable("hubs")
      .set({ lastConnectedAt: at, lastSeenAt: at, softwareVersion, ...address })
      .where("id", "=", hubId)
      .execute();
  },

  async listOnline(tx) {
    const rows = await sqlOf(tx)
      .selectFrom("hubs")
      .innerJoin("channels", (join) => join.onRef("channels.peerId", "=", "hubs.id").on("channels.role", "=", "hub"))
      .selectAll("hubs")
      .select((eb) =>
        eb
          .selectFrom("instances")
          .select((inner) => inner.fn.countAll<number>().as("count"))
          .whereRef("instances.hubId", "=", "hubs.id")
          .where("instances.state", "in", LIVE_STATES)
          .as("liveInstances"),
      )
      .orderBy("liveInstances")
      .orderBy("hubs.id")
      .execute();
    return rows.flatMap(({ liveInstances, ...row }) => {
      const hub = toHub(row);
      return hub.address === null ? [] : [{ hub: { ...hub, address: hub.address }, liveInstances: liveInstances ?? 0 }];
    });
  },
};
