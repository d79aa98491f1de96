import { AppError, type InstanceId } from "@hardshare/protocol";
import type { Transaction } from "../stores/database.ts";
import { type FirewallStore, MAX_FIREWALL_RULES } from "../stores/firewalls.ts";
import { sqlOf } from "./transaction.ts";

export const firewalls: FirewallStore = {
  async get(tx, instanceId) {
    const instance = await sqlOf(tx).selectFrom("instances").select("isFirewallConfigured").where("id", "=", instanceId).executeTakeFirst();
    if (instance?.isFirewallConfigured !== true) return null;
    return await sqlOf(tx)
      .selectFrom("firewallRules")
      .select(["source", "action"])
      .where("instanceId", "=", instanceId)
      .orderBy("position")
      .execute();
  },

  async add(tx, instanceId, { source, action }) {
    await markConfigured(tx, instanceId);
    const { count, last } = await sqlOf(tx)
      .selectFrom("firewallRules")
      .select((eb) => [eb.fn.countAll<number>().as("count"), eb.fn.max("position").as("last")])
      .where("instanceId", "=", instanceId)
      .executeTakeFirstOrThrow();
    if (count >= MAX_FIREWALL_RULES) {
      throw new AppError("conflict", `this instance has ${MAX_FIREWALL_RULES} firewall rules, which is the most; flush them first`);
    }
    await sqlOf(tx)
      .insertInto("firewallRules")
      .values({ instanceId, position: ((last as number | null) ?? 0) + 1, source, action })
      .execute();
  },

  async flush(tx, instanceId) {
    await markConfigured(tx, instanceId);
    await sqlOf(tx).deleteFrom("firewallRules").where("instanceId", "=", instanceId).execute();
  },
};

/** Also holds the instance's row, which orders those who change the firewall at the same time. */
async function markConfigured(tx: Transaction, instanceId: InstanceId): Promise<void> {
  const rows = await sqlOf(tx)
    .updateTable("instances")
    .set({ isFirewallConfigured: true })
    .where("id", "=", instanceId)
    .returning("id")
    .execute();
  if (rows.length === 0) throw new AppError("not_found", "instance not found");
}
