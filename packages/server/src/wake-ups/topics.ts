import type { Database, Transaction } from "@hardshare/db";

/**
 * Topics of wake-ups: a scope that somebody listens to, and after `/` where to look in it.
 * They say where to look, never what to do.
 */
export const scopes = {
  /** Of the replica that holds a host's channel; detail: deployment id. */
  host: (hostId: string) => `host:${hostId}`,
  /** Of the replica that holds a hub's channel; detail: instance id. */
  hub: (hubId: string) => `hub:${hubId}`,
  /** Of those who watch an instance: event streams and tunnels. */
  instance: (instanceId: string) => `instance:${instanceId}`,
  /** Of those who act in the name of a token: event streams and tunnels. */
  token: (sha256: string) => `token:${sha256}`,
  /** Of the deadlines job of every replica. */
  deadlines: "deadlines",
  /** Of the job of every replica that delivers alerts to hooks. */
  deliveries: "deliveries",
  /** Asks the holder of a connection whether its peer is alive; the detail is the connection's id. */
  presenceCheck: "presence-check",
  /** The answer: it is. The detail is the connection's id. */
  presenceAlive: "presence-alive",
} as const;

/** What a change of an instance concerns. */
export interface InstanceAddress {
  instanceId: string;
  deploymentId: string;
  hostId: string | null;
  hubId: string;
}

interface DeploymentAddress {
  hostId: string;
  deploymentId: string;
}

/** After a change of an instance that host, hub, watchers and the deadlines job should look at. */
export async function announceInstance(database: Database, tx: Transaction, at: InstanceAddress): Promise<void> {
  const { hostId, hubId, instanceId, deploymentId } = at;
  const ofHost = hostId === null ? [] : [deploymentTopic({ hostId, deploymentId })];
  await database.wakeUps.notify(tx, ...ofHost, `${scopes.hub(hubId)}/${instanceId}`, scopes.instance(instanceId), scopes.deadlines);
}

/** After a change of what should be with a deployment at its host. */
export async function announceDeployment(database: Database, tx: Transaction, at: DeploymentAddress): Promise<void> {
  await database.wakeUps.notify(tx, deploymentTopic(at));
}

function deploymentTopic({ hostId, deploymentId }: DeploymentAddress): string {
  return `${scopes.host(hostId)}/${deploymentId}`;
}
