import type { Capability, EndReason, FirewallAction, InstanceState, PeerRole, Probe, Provider } from "@hardshare/protocol";
import type { DeploymentId, HostId, HubId, InstanceId } from "@hardshare/protocol";
import type { ColumnType, Generated, GeneratedAlways, Selectable } from "kysely";
import type { HookKind } from "../stores/hooks.ts";
import type { LockoutKind } from "../stores/lockouts.ts";

/** The tables as Kysely sees them: the columns of `migrations/`, in camelCase. */
export interface Tables {
  users: { name: string; createdAt: Date };
  tokens: TokensTable;
  hosts: {
    id: HostId;
    owner: string;
    name: string;
    publicKey: string;
    registeredAt: Date;
    lastConnectedAt: Date | null;
    lastSeenAt: Date | null;
    softwareVersion: string | null;
    bootId: string | null;
  };
  hubs: HubsTable;
  channels: {
    role: PeerRole;
    peerId: string;
    replicaId: string;
    connectionId: string;
    session: string;
    connectedAt: Date;
  };
  deployments: DeploymentsTable;
  lockouts: {
    deploymentId: DeploymentId;
    id: string;
    instanceId: InstanceId | null;
    kind: LockoutKind;
    reason: string;
    actor: string;
    at: Date;
    liftedAt: Date | null;
    liftedBy: string | null;
  };
  accessRules: { deploymentId: DeploymentId; id: number; userName: string; capability: Capability; createdAt: Date };
  instances: InstancesTable;
  releasedPorts: { hubId: HubId; port: number; releasedAt: Date };
  hooks: {
    id: string;
    deploymentId: DeploymentId;
    kind: HookKind;
    target: string;
    secretEncrypted: Buffer | null;
    createdAt: Date;
    deliveredAt: Date | null;
    problem: string | null;
  };
  deliveries: { id: string; hookId: string; body: string; createdAt: Date; attempts: Generated<number>; nextAttemptAt: Date };
  firewallRules: { instanceId: InstanceId; position: number; source: string; action: FirewallAction };
  events: EventsTable;
}

/** A row of a table, as it is read. */
export type Row<Name extends keyof Tables> = Selectable<Tables[Name]>;

/** A column with a default of null or its type's own. */
type Defaulted<T> = ColumnType<T, T | undefined, T>;

interface TokensTable {
  sha256: string;
  userName: string;
  org: string | null;
  issuedAt: Date | null;
  expiresAt: Date | null;
  firstSeenAt: Date | null;
  origin: string | null;
  revokedAt: Date | null;
}

export interface HubsTable {
  id: HubId;
  name: string;
  publicKey: string;
  sshHostKey: string;
  publicHost: string | null;
  sshPort: number | null;
  firstPort: number | null;
  lastPort: number | null;
  registeredAt: Date;
  lastConnectedAt: Date | null;
  lastSeenAt: Date | null;
  softwareVersion: string | null;
}

export interface DeploymentsTable {
  id: DeploymentId;
  owner: string;
  type: string;
  typeVersion: number;
  description: string | null;
  region: string;
  hostId: HostId | null;
  provider: Provider | null;
  probe: Generated<Probe>;
  hasPublicPort: Generated<boolean>;
  maxDurationS: number;
  endTimeoutS: Generated<number>;
  isAdvertised: Generated<boolean>;
  epochCounter: Generated<number>;
  instanceCount: Generated<number>;
  supportedAddons: string[];
  restWhy: Defaulted<string | null>;
  restUntil: Defaulted<Date | null>;
  closesAt: Defaulted<Date | null>;
  hostAlertIds: Defaulted<string[]>;
  createdAt: Date;
  dissolvedAt: Date | null;
  origin: string | null;
}

export interface InstancesTable {
  id: InstanceId;
  deploymentId: DeploymentId;
  epoch: number;
  userName: string;
  state: InstanceState;
  hubId: HubId;
  publicPort: number | null;
  publicKeys: string[];
  privateKeyEncrypted: Buffer | null;
  hostKeys: Defaulted<string[]>;
  requestedS: number | null;
  startedAt: Date;
  deadline: Date;
  acceptedAt: Date | null;
  upAt: Date | null;
  endpointOpenAt: Date | null;
  probedAt: Date | null;
  readyAt: Date | null;
  endingAt: Date | null;
  endedAt: Date | null;
  endReason: EndReason | null;
  failedStep: string | null;
  failedLog: string | null;
  lastSequence: Generated<number>;
  isFirewallConfigured: Generated<boolean>;
}

interface EventsTable {
  id: GeneratedAlways<number>;
  at: Date;
  deploymentId: DeploymentId | null;
  instanceId: InstanceId | null;
  kind: string;
  actor: string;
  data: ColumnType<Record<string, unknown>, string, never>;
}
