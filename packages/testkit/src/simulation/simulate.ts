/**
 * One simulation: servers, hubs, hosts and users over a virtual clock and a virtual network, all drawn from a seed. First
 * things go wrong, then nothing does, and everything must come to rest; whatever reached a device is judged.
 */
import { FAULT_KINDS, type FaultKind, Faults } from "./faults.ts";
import { findUnlocked } from "./invariants.ts";
import { judge, untilRest } from "./rest.ts";
import type { SimulatedStore } from "./simulated-store.ts";
import { SimulatedUser } from "./simulated-user.ts";
import { SimulatedWorld } from "./simulated-world.ts";
import type { Trace } from "./trace.ts";

/** How long all goes well at first, and how long things go wrong then. */
const BEGINNING_MS = 3000;
const STORM_MS = 40_000;

/** How long after its commit a launch may come to its user's ears. */
const SLACK_MS = 1000;

/** What came of one simulation. */
export interface SimulationResult {
  seed: number;
  kinds: readonly FaultKind[];
  problems: string[];
  launches: number;
  deeds: number;
  faults: number;
  trace: Trace;
}

interface SimulateOptions {
  hasMessages?: boolean;
  store?: SimulatedStore;
}

/** Runs the simulation of a seed. @param options `hasMessages`: whether every message is in the trace; `store`: in memory unless told otherwise */
export async function simulate(seed: number, { hasMessages = false, store }: SimulateOptions = {}): Promise<SimulationResult> {
  const world = new SimulatedWorld(seed, store);
  if (hasMessages) {
    world.network.onSend = (from, to, text) => {
      if (!text.includes('"type":"ping"') && !text.includes('"type":"data"')) world.trace.note(from.name, `-> ${to.name} ${text}`);
    };
  }
  const { random, time, ledger, trace } = world;
  const oneOrTwo = () => 1 + random.below(2);
  const deployments = () => Array.from({ length: oneOrTwo() }, () => (random.chance(0.5) ? "proxy" : "podman"));
  const hosts = Array.from({ length: 1 + random.below(3) }, deployments);
  await world.boot({ servers: oneOrTwo(), hubs: oneOrTwo(), hosts });
  const users = Array.from({ length: 1 + random.below(4) }, (_, index) => new SimulatedUser(`user${index}`, world));
  for (const user of users) void user.work();
  const kinds = FAULT_KINDS.filter(() => random.chance(0.5));
  await time.runUntil(BEGINNING_MS);
  const faults = new Faults(world, kinds);
  await time.runUntil(BEGINNING_MS + STORM_MS);
  trace.note("fault", "all is well from now on");
  faults.stop();
  for (const user of users) user.stop();
  const isKept = ({ atMs }: { atMs: number }) =>
    !faults.undone.some(({ fromMs, toMs }) => atMs >= fromMs - SLACK_MS && atMs <= toMs + SLACK_MS);
  const acknowledged = users.flatMap((user) => user.acknowledged).filter(isKept);
  const { facts, problems } = await untilRest(world, acknowledged, kinds.includes("mishaps"));
  problems.push(...(await judge(world, facts)), ...findUnlocked(ledger.entries, world.unlocks, faults.undone));
  const count = [...faults.counts.values()].reduce((sum, each) => sum + each, 0);
  return { seed, kinds, problems, launches: acknowledged.length, deeds: ledger.entries.length, faults: count, trace };
}
