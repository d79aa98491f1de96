import type { FirewallRule, HubId, InstanceId } from "@hardshare/protocol";
import type { Kysely, Selectable } from "kysely";
import type { Hub } from "../stores/hubs.ts";
import type { Instance, InstanceDetails } from "../stores/instances.ts";
import { findDeployments } from "./deployment-rows.ts";
import { toHub } from "./hubs.ts";
import type { InstancesTable, Tables } from "./tables.ts";

/** The row as features see it. */
export function toInstance({ userName, ...row }: Selectable<InstancesTable>): Instance {
  return { ...row, user: userName };
}

/** The hubs of these ids, by id. */
export async function findHubs(db: Kysely<Tables>, ids: readonly HubId[]): Promise<Map<HubId, Hub>> {
  if (ids.length === 0) return new Map();
  const rows = await db
    .selectFrom("hubs")
    .selectAll()
    .where("id", "in", [...new Set(ids)])
    .execute();
  return new Map(rows.map((row) => [row.id, toHub(row)]));
}

/** Instances with their deployments and hubs, in the same order. */
export async function addDetails(db: Kysely<Tables>, instances: readonly Instance[]): Promise<InstanceDetails[]> {
  const deployments = await findDeployments(
    db,
    instances.map((instance) => instance.deploymentId),
  );
  const hubs = await findHubs(
    db,
    instances.map((instance) => instance.hubId),
  );
  return instances.flatMap((instance) => {
    const deployment = deployments.get(instance.deploymentId);
    const hub = hubs.get(instance.hubId);
    return deployment === undefined || hub === undefined ? [] : [{ instance, deployment, hub }];
  });
}

/** The firewall rules of these instances in their order, by instance. */
export async function findFirewallRules(db: Kysely<Tables>, ids: readonly InstanceId[]): Promise<Map<InstanceId, FirewallRule[]>> {
  const byInstance = new Map<InstanceId, FirewallRule[]>(ids.map((id) => [id, []]));
  if (ids.length === 0) return byInstance;
  const rows = await db.selectFrom("firewallRules").selectAll().where("instanceId", "in", ids).orderBy("position").execute();
  for (const { instanceId, source, action } of rows) byInstance.get(instanceId)?.push({ source, action });
  return byInstance;
}
