import type { Instance } from "@hardshare/db";
import type { LedgerEntry } from "./ledger.ts";
import { BEGINNING_MS } from "./simulated-process.ts";
import type { AcknowledgedLaunch } from "./simulated-user.ts";
import type { SimulatedWorld } from "./simulated-world.ts";

/** After its deadline the host of an instance may go on for so long (promises.md, G3). */
const AFTER_DEADLINE_MS = 5000;

/** A lift that was asked for just before an E-stop may come after it. */
const UNLOCK_SLACK_MS = 25_000;

/** All that the store says when everything has come to rest. */
export interface StoreFacts {
  instances: readonly Instance[];
  lockouts: readonly { deploymentId: string; kind: string; reason: string }[];
  /** How many hubs are connected. */
  hubs: number;
}

/** How long a transaction may wait for its turn. */
const STORE_WITHIN_MS = 60_000;

/** Reads what the store says, over a connection of its own; time goes on meanwhile. */
export function readStore(world: SimulatedWorld): Promise<StoreFacts> {
  return world.time.runThrough(read(world), STORE_WITHIN_MS);
}

async function read(world: SimulatedWorld): Promise<StoreFacts> {
  const { observer: database } = world.store;
  return database.transaction(async (tx) => {
    const states = ["INIT", "READY", "TERMINATING", "TERMINATED", "INIT_FAIL"] as const;
    const { items } = await database.instances.list(tx, { filter: { states }, order: "oldest" });
    const lockouts = [];
    for (const deploymentId of world.deployments) {
      for (const { kind, reason } of await database.lockouts.list(tx, deploymentId)) lockouts.push({ deploymentId, kind, reason });
    }
    const hubs = (await database.channels.list(tx, "hub")).length;
    return { hubs, instances: items.map(({ instance }) => instance), lockouts };
  });
}

/** What must not have happened at the devices, whatever went wrong. @returns the violations, in words */
export function findMisdeeds(all: readonly LedgerEntry[], instances: readonly Instance[]): string[] {
  const problems: string[] = [];
  const entries = all.filter(({ instanceId }) => instanceId !== ""); // without what makes the hardware safe while nothing runs
  const deadlines = new Map<string, number>(instances.map(({ id, deadline }) => [id, deadline.getTime() - BEGINNING_MS]));
  for (const [deploymentId, ofDeployment] of groupBy(entries, (entry) => entry.deploymentId)) {
    const say = (problem: string) => problems.push(`deployment ${deploymentId}: ${problem}`);
    let last: LedgerEntry | undefined;
    const over = new Set<string>();
    for (const entry of ofDeployment) {
      const { instanceId, epoch, atMs } = entry;
      const when = `at ${(atMs / 1000).toFixed(3)}`;
      if (last !== undefined && last.instanceId !== instanceId) {
        if (over.has(instanceId)) say(`G1: instance ${instanceId} acts ${when} after another one has begun`);
        if (epoch <= last.epoch) say(`G1: epoch ${epoch} acts ${when} after epoch ${last.epoch}`);
        over.add(last.instanceId);
      }
      const deadlineMs = deadlines.get(instanceId);
      if (entry.deed === "action" && deadlineMs !== undefined && atMs > deadlineMs + AFTER_DEADLINE_MS) {
        say(`G3: instance ${instanceId} acts ${when}, ${Math.round(atMs - deadlineMs)} ms after its deadline`);
      }
      last = entry;
    }
    for (const [instanceId, deeds] of groupBy(ofDeployment, (entry) => entry.instanceId)) {
      const begun = deeds.filter(({ deed }) => deed === "init").length;
      if (begun > 1) say(`instance ${instanceId} was begun ${begun} times`);
      const ended = deeds.findIndex(({ deed }) => deed === "terminate");
      if (ended >= 0 && deeds.slice(ended).some(({ deed }) => deed === "action" || deed === "init")) {
        say(`instance ${instanceId} acts after its programs for the end have run`);
      }
      const stopped = deeds.findIndex(({ deed }) => deed === "estop");
      const after = stopped < 0 ? [] : deeds.slice(stopped).filter(({ deed }) => deed !== "estop");
      if (after.some(({ deed }) => deed === "action" || deed === "init")) say(`G6: instance ${instanceId} acts after an E-stop`);
      if (after[0]?.deed === "terminate") say(`G6: instance ${instanceId} was ended after an E-stop before the hardware was safe`);
      if (!over.has(instanceId)) continue;
      if (ended < 0) say(`G4: another instance followed ${instanceId}, whose programs for the end never ran`);
      const last = deeds.findLast(({ deed }) => deed !== "estop" && deed !== "safe_state")?.deed;
      if (last !== "baseline") say(`G4: another instance followed ${instanceId}, whose last deed, ${last}, was not seen by its baseline`);
    }
  }
  return problems;
}

/** Lock-outs by E-stop must hold until somebody lifts them. @returns the violations, in words */
export function findUnlocked(
  entries: readonly LedgerEntry[],
  unlocks: readonly { deploymentId: string; atMs: number }[],
  undone: readonly { fromMs: number; toMs: number }[],
): string[] {
  return entries
    .filter(({ deed }) => deed === "estop")
    .flatMap(({ deploymentId, epoch, atMs }) => {
      const next = entries.find((entry) => entry.deploymentId === deploymentId && entry.epoch > epoch);
      if (next === undefined) return [];
      const isBetween = (momentMs: number) => momentMs >= atMs - UNLOCK_SLACK_MS && momentMs <= next.atMs;
      const isLifted = unlocks.some((unlock) => unlock.deploymentId === deploymentId && isBetween(unlock.atMs));
      // What a restored backup has forgotten does not hold, if the host was told before that it was written down.
      const isForgotten = undone.some(({ fromMs, toMs }) => toMs >= atMs && fromMs <= next.atMs);
      if (isLifted || isForgotten) return [];
      return [`deployment ${deploymentId}: epoch ${next.epoch} acts at ${(next.atMs / 1000).toFixed(3)} though an E-stop locked it out`];
    });
}

/** What must hold once all faults are over and every deadline has passed. @returns the violations, in words */
export async function findUnrest(
  world: SimulatedWorld,
  facts: StoreFacts,
  acknowledged: readonly AcknowledgedLaunch[],
  hasMishaps: boolean,
): Promise<string[]> {
  const problems: string[] = [];
  for (const { id, state } of facts.instances) {
    if (state !== "TERMINATED" && state !== "INIT_FAIL") problems.push(`instance ${id} is still ${state}`);
  }
  const known = new Set<string>(facts.instances.map(({ id }) => id));
  for (const { instanceId } of acknowledged) {
    if (!known.has(instanceId)) problems.push(`G2: the acknowledged launch of ${instanceId} is lost`);
  }
  for (const { deploymentId, kind, reason } of facts.lockouts) {
    if (kind === "host_not_confirmed") problems.push(`deployment ${deploymentId} is locked out though its host is back: ${reason}`);
    else if (!hasMishaps && !reason.startsWith("E-stop"))
      problems.push(`deployment ${deploymentId} is locked out though nothing failed: ${reason}`);
  }
  if (facts.hubs < world.hubs.length) problems.push(`only ${facts.hubs} of ${world.hubs.length} hubs are connected`);
  for (const { place, daemon } of world.hosts) {
    const where = place.computer.name;
    const left = await place.engine.listContainers({});
    if (left.length > 0) problems.push(`${where}: containers are left: ${left.map(({ name }) => name).join(", ")}`);
    if (place.filters.size > 0) problems.push(`${where}: filters are left`);
    for (const keeper of daemon.running?.keepers.all ?? []) {
      if (keeper.current !== undefined) problems.push(`${where}: the daemon still holds instance ${keeper.current.facts.instanceId}`);
    }
    if (daemon.running === undefined) problems.push(`${where}: the daemon does not run`);
    else if (!daemon.running.link.isConnected) problems.push(`${where}: not connected: ${daemon.running.link.problem}`);
  }
  return problems;
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}
