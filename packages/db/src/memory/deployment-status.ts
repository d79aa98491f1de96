import type { HostId } from "@hardshare/protocol";
import type { Row } from "../postgres/tables.ts";
import type { DeploymentStatus, Holder } from "../stores/deployments.ts";
import type { Data } from "./data.ts";
import { isLive } from "./instance-rows.ts";
import { lockoutsInForce, toLockout } from "./lockouts.ts";
import { sortBy } from "./order.ts";

export function statusOf(data: Data, deployment: Row<"deployments">): DeploymentStatus {
  const { id, hostId } = deployment;
  const host = hostId === null ? undefined : data.hosts.get(hostId);
  const isHostConnected = hostId !== null && data.channels.get(`host/${hostId}`) !== undefined;
  const holder = findHolder(data, id);
  const [lockout] = lockoutsInForce(data, id);
  return {
    ...deployment,
    hostName: host?.name ?? null,
    hostLastSeenAt: host?.lastSeenAt ?? null,
    isHostConnected,
    isOnline: isHostConnected && deployment.isAdvertised,
    lockout: lockout === undefined ? null : toLockout(lockout),
    holder: holder ?? null,
    queueLength: holder === undefined ? 0 : 1,
  };
}

/** The live instance of a deployment. */
export function findHolder(data: Data, deploymentId: string): Holder | undefined {
  const instance = data.instances.find((row) => row.deploymentId === deploymentId && isLive(row));
  if (instance === undefined) return undefined;
  const { id: instanceId, userName: user, state, startedAt, deadline } = instance;
  return { instanceId, user, state, startedAt, deadline };
}

/** See `DeploymentStore.listOfHost`. */
export function deploymentsOfHost(data: Data, hostId: HostId): DeploymentStatus[] {
  const rows = data.deployments.filter((row) => row.hostId === hostId);
  return sortBy(rows, (row) => [row.createdAt, row.id]).map((row) => statusOf(data, row));
}
