import { DEFAULT_MAX_DURATION_S } from "@hardshare/protocol";
import type { DeploymentFilter, DeploymentOrder, DeploymentStatus, DeploymentStore } from "../stores/deployments.ts";
import { requireReferenced, requireUnique } from "./constraints.ts";
import { deploymentsOfHost, statusOf } from "./deployment-status.ts";
import type { OnData } from "./on-data.ts";
import { pageOf, sortBy } from "./order.ts";

export const deployments: OnData<DeploymentStore> = {
  insert(data, { id, owner, type, typeVersion, description, region, hostId, supportedAddons, origin, at }) {
    requireUnique(data.deployments.get(id), "deployments_pkey");
    if (hostId !== null) requireReferenced(data.hosts.get(hostId), "deployments", "deployments_host_id_fkey");
    const undescribed = { provider: null, probe: "banner", hasPublicPort: true, endTimeoutS: 0, isAdvertised: false } as const;
    const unused = { maxDurationS: DEFAULT_MAX_DURATION_S, epochCounter: 0, instanceCount: 0, dissolvedAt: null };
    const said = { id, owner, type, typeVersion, description, region, hostId, supportedAddons: [...supportedAddons], origin };
    const well = { restWhy: null, restUntil: null, closesAt: null, hostAlertIds: [] };
    data.deployments.put({ ...said, ...undescribed, ...unused, ...well, createdAt: at });
  },

  get: getStatus,
  getForUpdate: getStatus,

  list(data, { filter = {}, order = { by: "type", direction: "asc" }, page }) {
    const all = data.deployments.all().map((row) => statusOf(data, row));
    const wanted = all.filter((status) => isWanted(status, filter));
    const sorted = sortBy(wanted, (status) => {
      const key = orderKey(status, order.by);
      return [order.direction === "asc" ? key : { descending: key }, status.createdAt, status.id];
    });
    return { items: pageOf(sorted, page), total: sorted.length };
  },

  listOfHost: deploymentsOfHost,

  listTypes(data, { withDissolved }) {
    const rows = data.deployments.filter((row) => withDissolved || row.dissolvedAt === null);
    return sortBy([...new Set(rows.map((row) => row.type))], (type) => [type]);
  },

  updateFromHost(data, hostId, said) {
    const row = data.deployments.get(said.deploymentId);
    if (row === undefined || row.hostId !== hostId || row.dissolvedAt !== null) return false;
    const { provider, probe, publicPort: hasPublicPort, maxDurationS, endTimeoutS, isAdvertised } = said;
    const epochCounter = Math.max(row.epochCounter, said.highestEpoch);
    const health = {
      restWhy: said.rest?.why ?? null,
      restUntil: said.rest?.until == null ? null : new Date(said.rest.until),
      closesAt: said.closesAt === null ? null : new Date(said.closesAt),
      hostAlertIds: said.alerts.map((alert) => alert.id),
    };
    data.deployments.put({ ...row, ...health, provider, probe, hasPublicPort, maxDurationS, endTimeoutS, isAdvertised, epochCounter });
    return true;
  },

  dissolve(data, id, at) {
    const row = data.deployments.get(id);
    if (row === undefined || row.dissolvedAt !== null) return false;
    data.deployments.put({ ...row, dissolvedAt: at, isAdvertised: false });
    return true;
  },

  setHost(data, id, hostId) {
    const row = data.deployments.get(id);
    if (row !== undefined) data.deployments.put({ ...row, hostId });
  },

  raiseEpoch(data, id, epoch) {
    const row = data.deployments.get(id);
    if (row !== undefined) data.deployments.put({ ...row, epochCounter: Math.max(row.epochCounter, epoch) });
  },

  withdrawUnlisted(data, hostId, listed) {
    const unlisted = data.deployments.filter((row) => row.hostId === hostId && row.isAdvertised && !listed.includes(row.id));
    for (const row of unlisted) data.deployments.put({ ...row, isAdvertised: false });
  },
};

function getStatus(...[data, id]: Parameters<OnData<DeploymentStore>["get"]>): DeploymentStatus | null {
  const row = data.deployments.get(id);
  return row === undefined ? null : statusOf(data, row);
}

function orderKey(status: DeploymentStatus, by: DeploymentOrder["by"]): string | number | Date {
  return { type: status.type, created: status.createdAt, count: status.instanceCount }[by];
}

function isWanted(status: DeploymentStatus, filter: DeploymentFilter): boolean {
  const { id, type, description, owner, region } = status;
  const text = [id, type, ...(description === null ? [] : [description]), owner, region].join(" ").toLowerCase();
  const words = filter.query?.toLowerCase().split(/\s+/).filter(Boolean) ?? [];
  return (
    words.every((word) => text.includes(word)) &&
    (filter.withDissolved === true || status.dissolvedAt === null) &&
    (filter.includeTypes?.includes(type) ?? true) &&
    !(filter.excludeTypes?.includes(type) ?? false) &&
    (filter.owners?.includes(owner) ?? true) &&
    (filter.ids?.includes(id) ?? true) &&
    (filter.maxQueueLength !== 0 || status.holder === null)
  );
}
