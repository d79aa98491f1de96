import type { HostStore } from "../stores/hosts.ts";
import { withoutComment } from "./public-keys.ts";
import { sqlOf } from "./transaction.ts";

export const hosts: HostStore = {
  async register(tx, { id, owner, name, publicKey, at }) {
    const key = withoutComment(publicKey);
    await sqlOf(tx)
      .insertInto("hosts")
      .values({
        id,
        owner,
        name,
        publicKey: key,
        registeredAt: at,
        lastConnectedAt: null,
        lastSeenAt: null,
        softwareVersion: null,
        bootId: null,
      })
      .onConflict((conflict) => conflict.column("publicKey").doNothing())
      .execute();
    return await sqlOf(tx).selectFrom("hosts").selectAll().where("publicKey", "=", key).executeTakeFirstOrThrow();
  },

  async get(tx, id) {
    return (await sqlOf(tx).selectFrom("hosts").selectAll().where("id", "=", id).executeTakeFirst()) ?? null;
  },

  async getByKey(tx, publicKey) {
    const query = sqlOf(tx).selectFrom("hosts").selectAll().where("publicKey", "=", withoutComment(publicKey));
    return (await query.executeTakeFirst()) ?? null;
  },

  async recordConnection(tx, { hostId, softwareVersion, bootId, at }) {
    await sqlOf(tx)
      .updateTable("hosts")
      .set({ lastConnectedAt: at, lastSeenAt: at, softwareVersion, bootId })
      .where("id", "=", hostId)
      .execute();
  },
};
