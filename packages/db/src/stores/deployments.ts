import type { DeploymentId, HostDeployment, HostId, InstanceId, InstanceState, Probe, Provider } from "@hardshare/protocol";
import type { Transaction } from "./database.ts";
import type { Lockout } from "./lockouts.ts";
import type { Listed, Page } from "./paging.ts";

/** A workspace deployment as it is stored. */
export interface Deployment {
  id: DeploymentId;
  /** User or organisation. */
  owner: string;
  type: string;
  typeVersion: number;
  description: string | null;
  region: string;
  hostId: HostId | null;
  /** Null until its host described it. */
  provider: Provider | null;
  probe: Probe;
  /** Whether its instances get a public port of the hub. */
  hasPublicPort: boolean;
  maxDurationS: number;
  /** Sum of the timeouts of the programs that run at the end. */
  endTimeoutS: number;
  isAdvertised: boolean;
  /** Epoch of the newest instance, or higher. */
  epochCounter: number;
  /** How many instances there were. */
  instanceCount: number;
  supportedAddons: string[];
  /** Why its host has it rest once no instance holds it; null when it does not. */
  restWhy: string | null;
  /** Until when, if that is known. */
  restUntil: Date | null;
  /** When it is closed next: no instance may last longer. */
  closesAt: Date | null;
  /** The newest alerts of its host that were recorded, so that each is recorded once. */
  hostAlertIds: string[];
  createdAt: Date;
  dissolvedAt: Date | null;
  /** Address from which it was registered. */
  origin: string | null;
}

/** The live instance of a deployment. */
export interface Holder {
  instanceId: InstanceId;
  user: string;
  state: InstanceState;
  startedAt: Date;
  deadline: Date;
}

/** A deployment with all that decides whether it can be launched now. */
export interface DeploymentStatus extends Deployment {
  /** Name of its host. */
  hostName: string | null;
  /** When the host's channel opened or closed last. */
  hostLastSeenAt: Date | null;
  /** Its host is connected. */
  isHostConnected: boolean;
  /** Its host is connected and advertises it. */
  isOnline: boolean;
  /** The oldest lock-out in force. */
  lockout: Lockout | null;
  holder: Holder | null;
  /** Live instances (0 or 1). */
  queueLength: number;
}

export interface DeploymentFilter {
  /** Words that must all occur (any letter case) in id, type, description, owner or region. */
  query?: string;
  includeTypes?: readonly string[];
  excludeTypes?: readonly string[];
  owners?: readonly string[];
  ids?: readonly DeploymentId[];
  /** Dissolved ones too. */
  withDissolved?: boolean;
  maxQueueLength?: number;
}

/** `count`: how many instances there were. Equal ones are ordered by time of creation and id. */
export interface DeploymentOrder {
  by: "type" | "created" | "count";
  direction: "asc" | "desc";
}

export interface NewDeploymentRow {
  id: DeploymentId;
  owner: string;
  type: string;
  typeVersion: number;
  description: string | null;
  region: string;
  hostId: HostId | null;
  supportedAddons: readonly string[];
  origin: string | null;
  at: Date;
}

export interface DeploymentStore {
  insert(tx: Transaction, deployment: NewDeploymentRow): Promise<void>;
  get(tx: Transaction, id: DeploymentId): Promise<DeploymentStatus | null>;
  /** Like `get`, and holds the row against all other changes and launches until the transaction ends. */
  getForUpdate(tx: Transaction, id: DeploymentId): Promise<DeploymentStatus | null>;
  /** Also used for one owner's and one type's deployments. Without `page` all; without `order` by type. */
  list(tx: Transaction, query: { filter?: DeploymentFilter; order?: DeploymentOrder; page?: Page }): Promise<Listed<DeploymentStatus>>;
  /** The oldest first; dissolved ones too, of which its host is told. */
  listOfHost(tx: Transaction, hostId: HostId): Promise<DeploymentStatus[]>;
  /** Distinct types, sorted. */
  listTypes(tx: Transaction, query: { withDissolved: boolean }): Promise<string[]>;
  /**
   * Stores what the host says of one deployment, and raises the epoch counter to its highest epoch if that is higher.
   * @returns false when the deployment is unknown, dissolved, or belongs to another host (nothing changes)
   */
  updateFromHost(tx: Transaction, hostId: HostId, deployment: HostDeployment): Promise<boolean>;
  /** Takes it out of use for ever. @returns false when it is unknown, or was dissolved before (nothing changes) */
  dissolve(tx: Transaction, id: DeploymentId, at: Date): Promise<boolean>;
  /** Gives a deployment to a host. */
  setHost(tx: Transaction, id: DeploymentId, hostId: HostId): Promise<void>;
  /** The next instance gets an epoch above this one. */
  raiseEpoch(tx: Transaction, id: DeploymentId, epoch: number): Promise<void>;
  /** The host no longer lists these: every deployment of the host that isn't in `listed` is no longer advertised. */
  withdrawUnlisted(tx: Transaction, hostId: HostId, listed: readonly DeploymentId[]): Promise<void>;
}
