import { type DeploymentId, type HostId, type InstanceId, type InstanceState, LIVE_STATES } from "@hardshare/protocol";
import { type Kysely, type Selectable, sql } from "kysely";
import type { Deployment, DeploymentStatus } from "../stores/deployments.ts";
import type { LockoutKind } from "../stores/lockouts.ts";
import type { DeploymentsTable, Tables } from "./tables.ts";

interface StatusColumns {
  hostName: string | null;
  hostLastSeenAt: Date | null;
  connectedAt: Date | null;
  holderId: InstanceId | null;
  holderUser: string | null;
  holderState: InstanceState | null;
  holderStartedAt: Date | null;
  holderDeadline: Date | null;
  lockoutId: string | null;
  lockoutInstanceId: InstanceId | null;
  lockoutKind: LockoutKind | null;
  lockoutReason: string | null;
  lockoutActor: string | null;
  lockoutAt: Date | null;
}

/** Deployments as `d` with their host `h`, its channel `c`, the live instance `i` and the oldest lock-out in force `l`. */
export function selectStatus(db: Kysely<Tables>) {
  return db
    .selectFrom("deployments as d")
    .leftJoin("hosts as h", "h.id", "d.hostId")
    .leftJoin("channels as c", (join) => join.onRef("c.peerId", "=", sql.ref("d.host_id")).on("c.role", "=", "host"))
    .leftJoin("instances as i", (join) => join.onRef("i.deploymentId", "=", "d.id").on("i.state", "in", LIVE_STATES))
    .leftJoinLateral(
      (eb) =>
        eb
          .selectFrom("lockouts")
          .selectAll("lockouts")
          .whereRef("lockouts.deploymentId", "=", "d.id")
          .where("lockouts.liftedAt", "is", null)
          .orderBy("lockouts.at")
          .orderBy("lockouts.id")
          .limit(1)
          .as("l"),
      (join) => join.onTrue(),
    );
}

/** The columns of `selectStatus` that `toStatus` reads. */
export const STATUS_COLUMNS = [
  "h.name as hostName",
  "h.lastSeenAt as hostLastSeenAt",
  "c.connectedAt as connectedAt",
  "i.id as holderId",
  "i.userName as holderUser",
  "i.state as holderState",
  "i.startedAt as holderStartedAt",
  "i.deadline as holderDeadline",
  "l.id as lockoutId",
  "l.instanceId as lockoutInstanceId",
  "l.kind as lockoutKind",
  "l.reason as lockoutReason",
  "l.actor as lockoutActor",
  "l.at as lockoutAt",
] as const;

export function toStatus(row: Selectable<DeploymentsTable> & StatusColumns): DeploymentStatus {
  const { hostName, hostLastSeenAt, connectedAt, holderId, holderUser, holderState, holderStartedAt, holderDeadline, ...rest } = row;
  const { lockoutId, lockoutInstanceId, lockoutKind, lockoutReason, lockoutActor, lockoutAt, ...deployment } = rest;
  const isHostConnected = connectedAt !== null;
  return {
    ...deployment,
    hostName,
    hostLastSeenAt,
    isHostConnected,
    isOnline: isHostConnected && deployment.isAdvertised,
    lockout:
      lockoutId === null || lockoutKind === null || lockoutAt === null
        ? null
        : {
            id: lockoutId,
            deploymentId: deployment.id,
            instanceId: lockoutInstanceId,
            kind: lockoutKind,
            reason: lockoutReason ?? "",
            actor: lockoutActor ?? "",
            at: lockoutAt,
          },
    holder:
      holderId === null || holderState === null || holderStartedAt === null || holderDeadline === null
        ? null
        : { instanceId: holderId, user: holderUser ?? "", state: holderState, startedAt: holderStartedAt, deadline: holderDeadline },
    queueLength: holderId === null ? 0 : 1,
  };
}

/** The deployments of these ids, by id. */
export async function findDeployments(db: Kysely<Tables>, ids: readonly DeploymentId[]): Promise<Map<DeploymentId, Deployment>> {
  if (ids.length === 0) return new Map();
  const rows = await db
    .selectFrom("deployments")
    .selectAll()
    .where("id", "in", [...new Set(ids)])
    .execute();
  return new Map(rows.map((row) => [row.id, row]));
}

/** The identity keys of these hosts, by host id. */
export async function findHostKeys(db: Kysely<Tables>, ids: readonly HostId[]): Promise<Map<HostId, string>> {
  if (ids.length === 0) return new Map();
  const rows = await db
    .selectFrom("hosts")
    .select(["id", "publicKey"])
    .where("id", "in", [...new Set(ids)])
    .execute();
  return new Map(rows.map((row) => [row.id, row.publicKey]));
}
