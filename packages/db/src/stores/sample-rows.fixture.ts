import { randomUUID } from "node:crypto";
import type { DeploymentId, HostId, HubId, InstanceId } from "@hardshare/protocol";
import type { Database, Transaction } from "./database.ts";
import type { NewInstance } from "./instances.ts";

export const T0 = new Date("2026-03-01T12:00:00.000Z");

/** A time so many seconds after `T0`. */
export function after(seconds: number): Date {
  return new Date(T0.getTime() + seconds * 1000);
}

/** A new id, good for any table. */
export function newId(): DeploymentId & HostId & HubId & InstanceId {
  return randomUUID() as DeploymentId & HostId & HubId & InstanceId;
}

/** A public key line with a key of its own. */
export function newKey(comment = ""): string {
  return `ssh-ed25519 ${Buffer.from(randomUUID()).toString("base64")} ${comment}`.trim();
}

/** A connected host with one advertised deployment, and a connected hub with ports 22000–22003. */
export interface SampleWorld {
  hostId: HostId;
  hubId: HubId;
  deploymentId: DeploymentId;
  hostKey: string;
}

export async function addWorld(database: Database, hubId: HubId = newId()): Promise<SampleWorld> {
  const world: SampleWorld = { hostId: newId(), hubId, deploymentId: newId(), hostKey: newKey() };
  const { hostId } = world;
  await database.transaction(async (tx) => {
    await database.hosts.register(tx, { id: hostId, owner: "olga", name: "bench", publicKey: world.hostKey, at: T0 });
    await database.hubs.register(tx, { id: hubId, name: "hub", publicKey: newKey(), sshHostKey: newKey(), at: T0 });
    const address = { publicHost: "hub.example", sshPort: 8422, firstPort: 22_000, lastPort: 22_003 };
    await database.hubs.recordConnection(tx, { hubId, softwareVersion: "0.1.0", address, at: T0 });
    await openChannel(database, tx, "host", hostId);
    await openChannel(database, tx, "hub", hubId);
    await addDeployment(database, tx, world, {});
  });
  return world;
}

async function openChannel(database: Database, tx: Transaction, role: "host" | "hub", peerId: string): Promise<void> {
  await database.channels.open(tx, {
    role,
    peerId,
    replicaId: "r1",
    connectionId: randomUUID(),
    session: `session-${peerId}`,
    connectedAt: T0,
  });
}

/** A deployment of the world's host, described by it and advertised. */
export async function addDeployment(
  database: Database,
  tx: Transaction,
  world: Pick<SampleWorld, "hostId" | "deploymentId">,
  more: { owner?: string; type?: string; description?: string; at?: Date },
): Promise<void> {
  const { hostId, deploymentId } = world;
  const { owner = "olga", type = "user_provided", description = "arm on the bench", at = T0 } = more;
  const fixed = { typeVersion: 1, region: "lab", supportedAddons: ["cmd"], origin: "192.0.2.7" };
  await database.deployments.insert(tx, { id: deploymentId, owner, type, description, hostId, at, ...fixed });
  await database.deployments.updateFromHost(tx, hostId, {
    deploymentId,
    provider: "podman",
    probe: "banner",
    publicPort: true,
    maxDurationS: 3600,
    endTimeoutS: 120,
    isAdvertised: true,
    rest: null,
    closesAt: null,
    alerts: [],
    highestEpoch: 0,
    current: null,
  });
}

/** A launch by `uma` for an hour, with no public port unless told otherwise. */
export function newLaunch(world: SampleWorld, more: Partial<NewInstance> = {}): NewInstance {
  return {
    id: newId(),
    deploymentId: world.deploymentId,
    user: "uma",
    hubId: world.hubId,
    publicPort: null,
    publicKeys: [newKey("uma")],
    privateKeyEncrypted: null,
    requestedS: null,
    deadline: after(3600),
    at: T0,
    ...more,
  };
}
