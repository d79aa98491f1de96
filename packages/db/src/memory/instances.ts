import { toHub } from "../postgres/hubs.ts";
import { toInstance } from "../postgres/instance-rows.ts";
import type { Row } from "../postgres/tables.ts";
import type { DesiredAtHost, DesiredAtHub, EndingInstance, InstanceDetails, InstanceFilter, InstanceStore } from "../stores/instances.ts";
import type { Data } from "./data.ts";
import { deploymentsOfHost } from "./deployment-status.ts";
import { insertLaunch, instanceChanges } from "./instance-changes.ts";
import { firewallOf } from "./instance-rows.ts";
import { lockoutsInForce } from "./lockouts.ts";
import type { OnData } from "./on-data.ts";
import { pageOf, sortBy } from "./order.ts";
import { publicPorts } from "./public-ports.ts";

export const instances: OnData<InstanceStore> = {
  insertLaunch,
  ...publicPorts,
  ...instanceChanges,

  get(data, id) {
    const row = data.instances.get(id);
    return row === undefined ? null : (addDetails(data, [row])[0] ?? null);
  },

  stateOf: (data, id) => data.instances.get(id)?.state ?? null,

  getForUpdate(data, id) {
    const row = data.instances.get(id);
    return row === undefined ? null : toInstance(row);
  },

  list(data, { filter, order, page }) {
    const oldest = sortBy(
      data.instances.filter((row) => isWanted(data, row, filter)),
      (row) => [row.startedAt, row.id],
    );
    const sorted = order === "newest" ? oldest.toReversed() : oldest;
    return { items: addDetails(data, pageOf(sorted, page)), total: sorted.length };
  },

  listDesiredAtHost(data, { hostId, deploymentId }) {
    const asked = deploymentsOfHost(data, hostId).filter(({ id }) => deploymentId === undefined || id === deploymentId);
    return asked.map(({ id, owner, lockout, dissolvedAt, holder }): DesiredAtHost => {
      const unconfirmed = lockoutsInForce(data, id).findLast((row) => row.kind === "host_not_confirmed")?.instanceId;
      const row = data.instances.get(holder?.instanceId ?? unconfirmed ?? "");
      const hub = row === undefined ? undefined : data.hubs.get(row.hubId);
      const wanted = row === undefined || hub === undefined ? null : { instance: toInstance(row), hub: toHub(hub) };
      return { deploymentId: id, owner, lockout, dissolvedAt, wanted };
    });
  },

  listDesiredAtHub(data, { hubId, instanceId }) {
    const rows = data.instances.filter((row) => row.hubId === hubId && isUsed(row) && (instanceId ?? row.id) === row.id);
    return sortBy(rows, (row) => [row.startedAt, row.id]).flatMap((row): DesiredAtHub[] => {
      const deployment = data.deployments.get(row.deploymentId);
      const host = deployment === undefined || deployment.hostId === null ? undefined : data.hosts.get(deployment.hostId);
      if (deployment === undefined || host === undefined) return [];
      return [{ instance: toInstance(row), deployment, forwarderKey: host.publicKey, firewall: firewallOf(data, row) }];
    });
  },

  nextDeadline: (data) => byDeadline(data.instances.filter(isUsed))[0]?.deadline ?? null,

  listOverdue(data, { at, limit }) {
    const overdue = data.instances.filter((row) => isUsed(row) && row.deadline.getTime() <= at.getTime());
    return byDeadline(overdue).slice(0, limit).map(toInstance);
  },

  listEnding(data) {
    const rows = data.instances.filter((row) => row.state === "TERMINATING");
    return sortBy(rows, (row) => [row.endingAt ?? row.startedAt, row.id]).flatMap((row): EndingInstance[] => {
      const deployment = data.deployments.get(row.deploymentId);
      if (deployment === undefined) return [];
      const { endTimeoutS, hostId } = deployment;
      const hostConnectedAt = data.channels.get(`host/${hostId}`)?.connectedAt ?? null;
      const hostLastSeenAt = data.hosts.get(hostId ?? "")?.lastSeenAt ?? null;
      return [{ instance: toInstance(row), endTimeoutS, hostId, hostConnectedAt, hostLastSeenAt }];
    });
  },
};

/** In a state in which its endpoint is open and its deadline counts. */
function isUsed(row: Row<"instances">): boolean {
  return row.state === "INIT" || row.state === "READY";
}

function byDeadline(rows: readonly Row<"instances">[]): Row<"instances">[] {
  return sortBy(rows, (row) => [row.deadline, row.id]);
}

function isWanted(data: Data, row: Row<"instances">, filter: InstanceFilter): boolean {
  const deployment = data.deployments.get(row.deploymentId);
  return (
    deployment !== undefined &&
    filter.states.includes(row.state) &&
    (filter.id ?? row.id) === row.id &&
    (filter.user ?? row.userName) === row.userName &&
    (filter.owners?.includes(deployment.owner) ?? true) &&
    (filter.type ?? deployment.type) === deployment.type
  );
}

function addDetails(data: Data, rows: readonly Row<"instances">[]): InstanceDetails[] {
  return rows.flatMap((row): InstanceDetails[] => {
    const deployment = data.deployments.get(row.deploymentId);
    const hub = data.hubs.get(row.hubId);
    return deployment === undefined || hub === undefined ? [] : [{ instance: toInstance(row), deployment, hub: toHub(hub) }];
  });
}
