import type { DeploymentId, EndReason, Firewall, HostId, HubId, InstanceId, InstanceState } from "@hardshare/protocol";
import type { Transaction } from "./database.ts";
import type { Deployment, Holder } from "./deployments.ts";
import type { Hub } from "./hubs.ts";
import type { Lockout } from "./lockouts.ts";
import type { Listed, Page } from "./paging.ts";

/** How long a public port isn't given to another instance after its last one ended. */
export const PORT_QUARANTINE_MS = 10 * 60 * 1000;

export interface Instance {
  id: InstanceId;
  deploymentId: DeploymentId;
  epoch: number;
  user: string;
  state: InstanceState;
  hubId: HubId;
  publicPort: number | null;
  /** OpenSSH public key lines of the user. */
  publicKeys: string[];
  /** A key that the server made for the user; erased as soon as the instance is ending. */
  privateKeyEncrypted: Uint8Array | null;
  /** SSH host keys of the container, as the host reported them. */
  hostKeys: string[];
  /** What the user asked for; null: the deployment's maximum. */
  requestedS: number | null;
  /** When it entered INIT. */
  startedAt: Date;
  deadline: Date;
  /** The host wrote it to its journal. */
  acceptedAt: Date | null;
  /** Every step is done at the host. */
  upAt: Date | null;
  /** The hub bound its port. */
  endpointOpenAt: Date | null;
  /** A byte came through the whole public way. */
  probedAt: Date | null;
  readyAt: Date | null;
  endingAt: Date | null;
  endedAt: Date | null;
  endReason: EndReason | null;
  failedStep: string | null;
  failedLog: string | null;
  /** Highest report of the host that is recorded. */
  lastSequence: number;
  /** Whether a firewall rule was ever added, or the rules flushed. */
  isFirewallConfigured: boolean;
}

/** An instance with its deployment and hub. */
export interface InstanceDetails {
  instance: Instance;
  deployment: Deployment;
  hub: Hub;
}

/** What a host's desired-state message needs for one deployment. */
export interface DesiredAtHost {
  deploymentId: DeploymentId;
  owner: string;
  lockout: Lockout | null;
  dissolvedAt: Date | null;
  /** The instance that its host is to run or to end, and its hub: the live one, or one whose end the host has yet to confirm. */
  wanted: { instance: Instance; hub: Hub } | null;
}

/** What a hub's desired-state message needs for one endpoint. */
export interface DesiredAtHub {
  instance: Instance;
  deployment: Deployment;
  /** Identity key of the deployment's host. */
  forwarderKey: string;
  firewall: Firewall;
}

/** A TERMINATING instance, with what decides how long the host's word is waited for. */
export interface EndingInstance {
  instance: Instance;
  endTimeoutS: number;
  hostId: HostId | null;
  /** Null when it is not connected. */
  hostConnectedAt: Date | null;
  hostLastSeenAt: Date | null;
}

export interface NewInstance {
  id: InstanceId;
  deploymentId: DeploymentId;
  user: string;
  hubId: HubId;
  publicPort: number | null;
  publicKeys: readonly string[];
  privateKeyEncrypted: Uint8Array | null;
  requestedS: number | null;
  deadline: Date;
  at: Date;
}

export type LaunchOutcome = { kind: "launched"; instance: Instance } | { kind: "busy"; holder: Holder };

export interface StateChange {
  instanceId: InstanceId;
  from: InstanceState;
  to: InstanceState;
  at: Date;
  actor: string;
  reason?: EndReason;
  failedStep?: string;
  failedLog?: string;
}

/** Something that is known of a live instance from now on. */
export type InstanceMark =
  | { kind: "accepted" }
  | { kind: "up"; hostKeys: readonly string[] }
  | { kind: "endpoint_open" }
  | { kind: "probed" }
  /** An E-stop was pressed: it counts as the reason of the end, whatever ended it before. */
  | { kind: "estop" };

/** Sequence number of a host's report, with the fence (deployment, instance, epoch) and the host that sent it. */
export interface ReportNumber {
  hostId: HostId;
  deploymentId: DeploymentId;
  instanceId: InstanceId;
  epoch: number;
  sequence: number;
}

export type ReportOutcome =
  /** New: act on it. The row is held until the transaction ends. */
  | { kind: "recorded"; instance: Instance }
  /** Was recorded before: acknowledge it, do nothing. */
  | { kind: "repeated"; instance: Instance }
  /** Doesn't fit: no such instance of this deployment, epoch and host. */
  | { kind: "unknown" };

export interface InstanceFilter {
  /** Only this one. */
  id?: InstanceId;
  /** The instance's user. */
  user?: string;
  /** Owners of the deployment. */
  owners?: readonly string[];
  type?: string;
  states: readonly InstanceState[];
}

export interface InstanceStore {
  /**
   * Inserts an instance in INIT with the next epoch, and its event, under the lock of the deployment's row. At most one
   * wins, however many try.
   * @throws AppError `not_found` for an unknown deployment
   */
  insertLaunch(tx: Transaction, instance: NewInstance): Promise<LaunchOutcome>;
  /**
   * Picks a public port of a hub: one that no live instance has and none has had during `PORT_QUARANTINE_MS`, the
   * longest unused first, and of those never used the one whose turn it is (`turningPoint`). Launches at the same hub wait here for each other until the transaction ends.
   * @param avoid ports not to pick, e.g. one that a stranger holds
   * @returns null when none is free
   */
  pickPublicPort(tx: Transaction, pick: { hubId: HubId; at: Date; avoid?: readonly number[] }): Promise<number | null>;
  /**
   * Gives an instance in INIT another public port; its endpoint counts as not open any more.
   * @returns null when it is no longer in INIT with the port `from`, or no port is free
   */
  reassignPort(tx: Transaction, change: { instanceId: InstanceId; from: number; at: Date }): Promise<Instance | null>;
  /**
   * Compare-and-set of the state, with its time and its event, in the same transaction.
   * @returns the instance after the change; null when it isn't in `from` (nothing changes)
   * @throws AppError `internal` when the lifecycle doesn't allow the step
   */
  changeState(tx: Transaction, change: StateChange): Promise<Instance | null>;
  /**
   * Notes a mark with its time; the first time counts. `up` of a later report replaces the host keys.
   * @returns the instance after it, with the row held; null when it isn't live
   */
  mark(tx: Transaction, mark: { instanceId: InstanceId; epoch: number; mark: InstanceMark; at: Date }): Promise<Instance | null>;
  recordReport(tx: Transaction, report: ReportNumber): Promise<ReportOutcome>;
  get(tx: Transaction, id: InstanceId): Promise<InstanceDetails | null>;
  stateOf(tx: Transaction, id: InstanceId): Promise<InstanceState | null>;
  /** The bare row, held until the transaction ends. */
  getForUpdate(tx: Transaction, id: InstanceId): Promise<Instance | null>;
  /** Ordered by start. Without `page` all. */
  list(tx: Transaction, query: { filter: InstanceFilter; order: "newest" | "oldest"; page?: Page }): Promise<Listed<InstanceDetails>>;
  /** Every deployment of a host, or one of them; dissolved ones too. */
  listDesiredAtHost(tx: Transaction, query: { hostId: HostId; deploymentId?: DeploymentId }): Promise<DesiredAtHost[]>;
  /** The instances in INIT or READY at a hub, or one of them: those whose endpoint should be open. */
  listDesiredAtHub(tx: Transaction, query: { hubId: HubId; instanceId?: InstanceId }): Promise<DesiredAtHub[]>;
  /** The earliest deadline of an instance in INIT or READY. */
  nextDeadline(tx: Transaction): Promise<Date | null>;
  /** Instances in INIT or READY whose deadline has come, the earliest first, at most `limit`. */
  listOverdue(tx: Transaction, query: { at: Date; limit: number }): Promise<Instance[]>;
  /** All in TERMINATING, the oldest first. */
  listEnding(tx: Transaction): Promise<EndingInstance[]>;
}
