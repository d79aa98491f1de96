import type { PeerRole } from "@hardshare/protocol";
import type { HostId, HubId } from "@hardshare/protocol";
import type { Channel, ChannelStore } from "../stores/channels.ts";
import type { Transaction } from "../stores/database.ts";
import { isReplicaAlive } from "./replicas.ts";
import { sqlOf } from "./transaction.ts";

export const channels: ChannelStore = {
  async open(tx, channel) {
    const inserted = await sqlOf(tx)
      .insertInto("channels")
      .values(channel)
      .onConflict((conflict) => conflict.doNothing())
      .returning("peerId")
      .execute();
    if (inserted.length > 0) return { kind: "opened", replaced: null };
    const current = await sqlOf(tx)
      .selectFrom("channels")
      .selectAll()
      .where("role", "=", channel.role)
      .where("peerId", "=", channel.peerId)
      .forUpdate()
      .executeTakeFirst();
    if (current === undefined) return await channels.open(tx, channel); // was closed in between
    if (current.session !== channel.session) return { kind: "in_use", by: current };
    await sqlOf(tx).updateTable("channels").set(channel).where("role", "=", channel.role).where("peerId", "=", channel.peerId).execute();
    return { kind: "opened", replaced: current };
  },

  async close(tx, { role, peerId, connectionId, at }) {
    const rows = await sqlOf(tx)
      .deleteFrom("channels")
      .where("role", "=", role)
      .where("peerId", "=", peerId)
      .where("connectionId", "=", connectionId)
      .returningAll()
      .execute();
    await recordAbsence(tx, rows, at);
    return rows.length > 0;
  },

  async closeAllOfReplica(tx, { replicaId, at }) {
    const rows = await sqlOf(tx)
      .with("closed", (sql) => sql.deleteFrom("channels").where("replicaId", "=", replicaId).returningAll())
      .selectFrom("closed")
      .selectAll()
      .orderBy("role")
      .orderBy("peerId")
      .execute();
    await recordAbsence(tx, rows, at);
    return rows;
  },

  async closeAllOfDeadReplicas(tx, { at }) {
    const replicas = await sqlOf(tx).selectFrom("channels").select("replicaId").distinct().orderBy("replicaId").execute();
    const closed: Channel[] = [];
    for (const { replicaId } of replicas) {
      if (await isReplicaAlive(tx, replicaId)) continue;
      closed.push(...(await channels.closeAllOfReplica(tx, { replicaId, at })));
    }
    return closed;
  },

  async get(tx, role, peerId) {
    const query = sqlOf(tx).selectFrom("channels").selectAll().where("role", "=", role).where("peerId", "=", peerId);
    return (await query.executeTakeFirst()) ?? null;
  },

  async list(tx, role) {
    return await sqlOf(tx).selectFrom("channels").selectAll().where("role", "=", role).orderBy("connectedAt").orderBy("peerId").execute();
  },
};

async function recordAbsence(tx: Transaction, closed: readonly Channel[], at: Date): Promise<void> {
  const idsOf = (role: PeerRole) => closed.filter((channel) => channel.role === role).map((channel) => channel.peerId);
  const [hostIds, hubIds] = [idsOf("host"), idsOf("hub")];
  if (hostIds.length > 0) {
    await sqlOf(tx)
      .updateTable("hosts")
      .set({ lastSeenAt: at })
      .where("id", "in", hostIds as HostId[])
      .execute();
  }
  if (hubIds.length > 0) {
    await sqlOf(tx)
      .updateTable("hubs")
      .set({ lastSeenAt: at })
      .where("id", "in", hubIds as HubId[])
      .execute();
  }
}
