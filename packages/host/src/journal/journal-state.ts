import type { Deadline } from "@hardshare/core";
import { type DeploymentId, type EndReason, type InstanceId, isEstopLockout } from "@hardshare/protocol";
import type { EndedEntry, JournalEntry, LockoutEntry, StartedEntry } from "./entries.ts";

/** What the journal says about one instance. */
export interface JournalInstance {
  deploymentId: DeploymentId;
  instanceId: InstanceId;
  epoch: number;
  /** Absent for an epoch that was over before it began here. */
  started: StartedEntry | undefined;
  deadline: Deadline | undefined;
  isUp: boolean;
  hostKeys: string[];
  containerId: string | undefined;
  endReason: EndReason | undefined;
  ended: EndedEntry | undefined;
  /** Whether the server recorded its end. */
  isAcknowledged: boolean;
  /** Highest report sequence that is written down. */
  sequence: number;
}

/** All that the journal says: the result of applying its entries in order. */
export interface JournalState {
  highestEpochs: Map<DeploymentId, number>;
  /** When the newest instance of each deployment that began here ended. */
  lastEnds: Map<DeploymentId, string>;
  /** Instances that live, whose end is not acknowledged, and the newest of each deployment. */
  instances: Map<InstanceId, JournalInstance>;
  /** Lock-outs that the server has not acknowledged. */
  lockouts: Map<string, LockoutEntry>;
  /** E-stops that mean a lock-out and were not yet acted on, whatever the server acknowledged: by the ids of their lock-outs. */
  unfinishedStops: Map<string, LockoutEntry>;
  /** The newest E-stop of each deployment that was acted on: id of its lock-out. */
  stops: Map<DeploymentId, string>;
}

export function emptyJournalState(): JournalState {
  return {
    highestEpochs: new Map(),
    lastEnds: new Map(),
    instances: new Map(),
    lockouts: new Map(),
    unfinishedStops: new Map(),
    stops: new Map(),
  };
}

/** Applies one entry. Entries about instances that don't live change nothing. */
export function applyEntry(state: JournalState, entry: JournalEntry): void {
  switch (entry.kind) {
    case "started":
      raiseEpoch(state, entry.deploymentId, entry.epoch);
      state.instances.set(entry.instanceId, {
        ...identityOf(entry),
        started: entry,
        deadline: entry.deadline,
        isUp: false,
        hostKeys: [],
        containerId: undefined,
        endReason: undefined,
        ended: undefined,
        isAcknowledged: false,
        sequence: entry.sequence,
      });
      break;
    case "ended": {
      raiseEpoch(state, entry.deploymentId, entry.epoch);
      const known = state.instances.get(entry.instanceId);
      // The newest counts, also where the clock was set back since the one before.
      if (known !== undefined && isLive(known)) state.lastEnds.set(entry.deploymentId, entry.at);
      state.instances.set(entry.instanceId, {
        started: undefined,
        deadline: undefined,
        isUp: false,
        hostKeys: [],
        containerId: undefined,
        ...known,
        ...identityOf(entry),
        endReason: entry.reason,
        ended: entry,
        isAcknowledged: false,
        sequence: entry.sequence,
      });
      break;
    }
    case "moved":
      changeLive(state, entry.instanceId, (instance) => (instance.deadline = entry.deadline));
      break;
    case "up":
      changeLive(state, entry.instanceId, (instance) => {
        instance.isUp = true;
        instance.hostKeys = entry.hostKeys;
        instance.containerId = entry.containerId;
        instance.sequence = Math.max(instance.sequence, entry.sequence);
      });
      break;
    case "ending":
      changeLive(state, entry.instanceId, (instance) => {
        // An E-stop counts, whatever ended it before.
        instance.endReason = entry.reason === "estop" ? entry.reason : (instance.endReason ?? entry.reason);
      });
      break;
    case "acknowledged": {
      const instance = state.instances.get(entry.instanceId);
      if (instance?.epoch === entry.epoch && instance.ended !== undefined) instance.isAcknowledged = true;
      break;
    }
    case "lockout":
      state.lockouts.set(entry.lockoutId, entry);
      if (isEstopLockout(entry.lockoutId) && state.stops.get(entry.deploymentId) !== entry.lockoutId) {
        state.unfinishedStops.set(entry.lockoutId, entry);
      }
      break;
    case "lockout_acknowledged":
      state.lockouts.delete(entry.lockoutId);
      break;
    case "stopped":
      state.stops.set(entry.deploymentId, entry.lockoutId);
      state.unfinishedStops.delete(entry.lockoutId);
      break;
    case "highest_epoch":
      raiseEpoch(state, entry.deploymentId, entry.epoch);
      if (entry.lastEndAt !== undefined) raiseLastEnd(state, entry.deploymentId, entry.lastEndAt);
      break;
  }
  forgetOldInstances(state);
}

/** The fewest entries that give the same state. */
export function entriesOf(state: JournalState): JournalEntry[] {
  const entries: JournalEntry[] = [];
  for (const [deploymentId, epoch] of state.highestEpochs) {
    const lastEndAt = state.lastEnds.get(deploymentId);
    entries.push({ kind: "highest_epoch", deploymentId, epoch, ...(lastEndAt === undefined ? {} : { lastEndAt }) });
  }
  for (const instance of state.instances.values()) {
    const { instanceId, epoch, deadline, hostKeys, containerId, sequence, endReason } = instance;
    if (instance.started !== undefined) entries.push({ ...instance.started, sequence, deadline: deadline ?? instance.started.deadline });
    if (instance.isUp) entries.push({ kind: "up", instanceId, hostKeys, ...(containerId === undefined ? {} : { containerId }), sequence });
    if (instance.ended !== undefined) entries.push(instance.ended);
    else if (endReason !== undefined) entries.push({ kind: "ending", instanceId, reason: endReason });
    if (instance.isAcknowledged) entries.push({ kind: "acknowledged", instanceId, epoch });
  }
  for (const lockout of state.lockouts.values()) {
    const { lockoutId, deploymentId } = lockout;
    entries.push(lockout);
    if (isEstopLockout(lockoutId) && !state.unfinishedStops.has(lockoutId)) entries.push({ kind: "stopped", deploymentId, lockoutId });
  }
  for (const [lockoutId, lockout] of state.unfinishedStops) {
    if (!state.lockouts.has(lockoutId)) entries.push(lockout, { kind: "lockout_acknowledged", lockoutId });
  }
  for (const [deploymentId, lockoutId] of state.stops) entries.push({ kind: "stopped", deploymentId, lockoutId });
  return entries;
}

function identityOf(entry: StartedEntry | EndedEntry) {
  return { deploymentId: entry.deploymentId, instanceId: entry.instanceId, epoch: entry.epoch };
}

function raiseEpoch(state: JournalState, deploymentId: DeploymentId, epoch: number): void {
  state.highestEpochs.set(deploymentId, Math.max(epoch, state.highestEpochs.get(deploymentId) ?? 0));
}

function raiseLastEnd(state: JournalState, deploymentId: DeploymentId, at: string): void {
  const before = state.lastEnds.get(deploymentId);
  if (before === undefined || Date.parse(at) > Date.parse(before)) state.lastEnds.set(deploymentId, at);
}

function changeLive(state: JournalState, instanceId: InstanceId, apply: (instance: JournalInstance) => void): void {
  const instance = state.instances.get(instanceId);
  if (instance !== undefined && isLive(instance)) apply(instance);
}

function forgetOldInstances(state: JournalState): void {
  for (const instance of state.instances.values()) {
    const isNewest = instance.epoch >= (state.highestEpochs.get(instance.deploymentId) ?? 0);
    if (instance.isAcknowledged && !isNewest) state.instances.delete(instance.instanceId);
  }
}

/** Whether an instance began here and has not ended. */
export function isLive(instance: JournalInstance): boolean {
  return instance.started !== undefined && instance.ended === undefined;
}
