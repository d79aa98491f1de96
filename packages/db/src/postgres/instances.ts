import type { Transaction } from "../stores/database.ts";
import type { DeploymentStatus } from "../stores/deployments.ts";
import type { DesiredAtHost, DesiredAtHub, EndingInstance, InstanceFilter, InstanceStore } from "../stores/instances.ts";
import { findDeployments, findHostKeys } from "./deployment-rows.ts";
import { changeState, insertLaunch, mark, recordReport } from "./instance-changes.ts";
import { addDetails, findFirewallRules, findHubs, toInstance } from "./instance-rows.ts";
import { deployments } from "./deployments.ts";
import { findUnconfirmed } from "./lockouts.ts";
import { pickPublicPort, reassignPort } from "./public-ports.ts";
import { sqlOf } from "./transaction.ts";

/** States in which an instance is used, or is about to be: its endpoint is open and its deadline counts. */
const USED_STATES = ["INIT", "READY"] as const;

export const instances: InstanceStore = {
  insertLaunch,
  pickPublicPort,
  reassignPort,
  changeState,
  mark,
  recordReport,

  async get(tx, id) {
    const row = await sqlOf(tx).selectFrom("instances").selectAll().where("id", "=", id).executeTakeFirst();
    if (row === undefined) return null;
    return (await addDetails(sqlOf(tx), [toInstance(row)]))[0] ?? null;
  },

  async stateOf(tx, id) {
    const row = await sqlOf(tx).selectFrom("instances").select("state").where("id", "=", id).executeTakeFirst();
    return row?.state ?? null;
  },

  async getForUpdate(tx, id) {
    const row = await sqlOf(tx).selectFrom("instances").selectAll().where("id", "=", id).forNoKeyUpdate().executeTakeFirst();
    return row === undefined ? null : toInstance(row);
  },

  async list(tx, { filter, order, page }) {
    const query = selectFiltered(tx, filter);
    const { total } = await query.select((eb) => eb.fn.countAll<number>().as("total")).executeTakeFirstOrThrow();
    const direction = order === "newest" ? "desc" : "asc";
    const rows = await query
      .selectAll("instances")
      .orderBy("instances.startedAt", direction)
      .orderBy("instances.id", direction)
      .$if(page !== undefined && page.maxPerPage > 0, (paged) =>
        paged.limit(page?.maxPerPage ?? 0).offset(((page?.page ?? 1) - 1) * (page?.maxPerPage ?? 0)),
      )
      .execute();
    return { items: await addDetails(sqlOf(tx), rows.map(toInstance)), total };
  },

  async listDesiredAtHost(tx, { hostId, deploymentId }) {
    const all = await deployments.listOfHost(tx, hostId);
    const asked = deploymentId === undefined ? all : all.filter((deployment) => deployment.id === deploymentId);
    const unconfirmed = await findUnconfirmed(sqlOf(tx), asked);
    const wantedOf = ({ id, holder }: DeploymentStatus) => holder?.instanceId ?? unconfirmed.get(id);
    const ids = asked.flatMap((deployment) => wantedOf(deployment) ?? []);
    const rows = ids.length === 0 ? [] : await sqlOf(tx).selectFrom("instances").selectAll().where("id", "in", ids).execute();
    const hubs = await findHubs(
      sqlOf(tx),
      rows.map((row) => row.hubId),
    );
    return asked.map((deployment): DesiredAtHost => {
      const row = rows.find((candidate) => candidate.id === wantedOf(deployment));
      const hub = row === undefined ? undefined : hubs.get(row.hubId);
      return {
        deploymentId: deployment.id,
        owner: deployment.owner,
        lockout: deployment.lockout,
        dissolvedAt: deployment.dissolvedAt,
        wanted: row === undefined || hub === undefined ? null : { instance: toInstance(row), hub },
      };
    });
  },

  async listDesiredAtHub(tx, { hubId, instanceId }) {
    const rows = await sqlOf(tx)
      .selectFrom("instances")
      .selectAll()
      .where("hubId", "=", hubId)
      .where("state", "in", USED_STATES)
      .where((eb) => (instanceId === undefined ? eb.val(true) : eb("id", "=", instanceId)))
      .orderBy("startedAt")
      .orderBy("id")
      .execute();
    const found = await findDeployments(
      sqlOf(tx),
      rows.map((row) => row.deploymentId),
    );
    const hostKeys = await findHostKeys(
      sqlOf(tx),
      [...found.values()].flatMap((deployment) => (deployment.hostId === null ? [] : [deployment.hostId])),
    );
    const rules = await findFirewallRules(
      sqlOf(tx),
      rows.filter((row) => row.isFirewallConfigured).map((row) => row.id),
    );
    return rows.flatMap((row): DesiredAtHub[] => {
      const deployment = found.get(row.deploymentId);
      const forwarderKey = deployment?.hostId == null ? undefined : hostKeys.get(deployment.hostId);
      if (deployment === undefined || forwarderKey === undefined) return [];
      return [{ instance: toInstance(row), deployment, forwarderKey, firewall: rules.get(row.id) ?? null }];
    });
  },

  async nextDeadline(tx) {
    const row = await sqlOf(tx)
      .selectFrom("instances")
      .select((eb) => eb.fn.min("deadline").as("deadline"))
      .where("state", "in", USED_STATES)
      .executeTakeFirst();
    return (row?.deadline as Date | null | undefined) ?? null;
  },

  async listOverdue(tx, { at, limit }) {
    const rows = await sqlOf(tx)
      .selectFrom("instances")
      .selectAll()
      .where("state", "in", USED_STATES)
      .where("deadline", "<=", at)
      .orderBy("deadline")
      .orderBy("id")
      .limit(limit)
      .execute();
    return rows.map(toInstance);
  },

  async listEnding(tx) {
    const rows = await sqlOf(tx)
      .selectFrom("instances")
      .innerJoin("deployments", "deployments.id", "instances.deploymentId")
      .leftJoin("hosts", "hosts.id", "deployments.hostId")
      .leftJoin("channels", (join) => join.onRef("channels.peerId", "=", "hosts.id").on("channels.role", "=", "host"))
      .selectAll("instances")
      .select(["deployments.endTimeoutS", "deployments.hostId", "hosts.lastSeenAt", "channels.connectedAt"])
      .where("instances.state", "=", "TERMINATING")
      .orderBy("instances.endingAt")
      .orderBy("instances.id")
      .execute();
    return rows.map(({ endTimeoutS, hostId, lastSeenAt, connectedAt, ...row }): EndingInstance => {
      return { instance: toInstance(row), endTimeoutS, hostId, hostConnectedAt: connectedAt, hostLastSeenAt: lastSeenAt };
    });
  },
};

function selectFiltered(tx: Transaction, filter: InstanceFilter) {
  return sqlOf(tx)
    .selectFrom("instances")
    .innerJoin("deployments", "deployments.id", "instances.deploymentId")
    .where("instances.state", "in", filter.states)
    .$if(filter.id !== undefined, (query) => query.where("instances.id", "in", filter.id === undefined ? [] : [filter.id]))
    .$if(filter.user !== undefined, (query) => query.where("instances.userName", "=", filter.user ?? ""))
    .$if(filter.owners !== undefined, (query) => query.where("deployments.owner", "in", filter.owners ?? []))
    .$if(filter.type !== undefined, (query) => query.where("deployments.type", "=", filter.type ?? ""));
}
