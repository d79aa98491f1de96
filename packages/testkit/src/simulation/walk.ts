/**
 * A walk: one instance is launched, used and ended, in a world in which nothing goes wrong but this: one program is killed
 * at its n-th step and started again. For every program and every n.
 */
import { judge, untilRest } from "./rest.ts";
import type { SimulatedProcess } from "./simulated-process.ts";
import { SimulatedUser } from "./simulated-user.ts";
import { type Program, type ProviderName, SimulatedWorld } from "./simulated-world.ts";
import type { Trace } from "./trace.ts";

/** How the instance of a walk comes to its end. `adopt`: its host daemon is killed once before, when it is READY. */
export const WALK_KINDS = ["end", "cancel", "expire", "adopt"] as const;
export type WalkKind = (typeof WALK_KINDS)[number];
export type VictimRole = "server" | "hub" | "host";

const BACK_AFTER_MS = 1000;
/** Long enough for a launch during which a program is killed and comes back. */
const READY_WITHIN_MS = 15_000;

export interface WalkResult {
  /** Names of the steps that the victim came to, up to its death. */
  steps: string[];
  problems: string[];
  trace: Trace;
}

/** Walks once. @param dieAt number of the step at which the victim is killed, from 0; undefined: nobody is */
export async function walk(kind: WalkKind, provider: ProviderName, role: VictimRole, dieAt?: number): Promise<WalkResult> {
  const world = new SimulatedWorld(1);
  const { time } = world;
  await world.boot({ servers: 1, hubs: 1, hosts: [[provider]] });
  await time.runUntil(2000);
  const victim = victimIn(world, role);
  const steps: string[] = [];
  world.onStep = (program, name) => {
    if (program !== victim || !program.isRunning) return;
    if (steps.push(name) - 1 !== dieAt) return;
    world.trace.note("fault", `kill ${program.name} at ${name}`);
    program.kill();
    time.after(BACK_AFTER_MS, () => program.start());
  };
  const user = new SimulatedUser("user", world);
  void live(kind, world, user);
  const isOver = () => world.ledger.has("baseline") && victim.isRunning;
  await time.runUntil(time.nowMs + 30_000, isOver);
  let { facts, problems } = await untilRest(world, user.acknowledged, false);
  world.onStep = () => {};
  if (!victim.isRunning) {
    // Killed at a step that it made while all was at rest: the store did not know yet.
    await time.runUntil(time.nowMs + 2 * BACK_AFTER_MS, () => victim.isRunning);
    ({ facts, problems } = await untilRest(world, user.acknowledged, false));
  }
  const known = new Set(user.acknowledged.map(({ instanceId }) => instanceId));
  for (const { id, state, readyAt, endReason, endedAt } of facts.instances) {
    // Neither server nor hub ends an instance by its death (G9); one that was not READY yet may fail.
    if (role === "host" || kind === "adopt" || readyAt === null) continue;
    const isExpected = endReason === (kind === "expire" || !known.has(id) ? "expired" : "user");
    if (!isExpected) problems.push(`G9: the instance ended ${endReason} at ${endedAt?.toISOString()} (${state})`);
  }
  problems.push(...(await judge(world, facts)));
  return { steps, problems, trace: world.trace };
}

function victimIn(world: SimulatedWorld, role: VictimRole): Program<unknown> {
  const victim = { server: world.servers[0], hub: world.hubs[0], host: world.hosts[0]?.daemon }[role];
  if (victim === undefined) throw new Error(`there is no ${role}`);
  return victim;
}

/** What the user of the instance does. Asks again where no answer came. */
async function live(kind: WalkKind, world: SimulatedWorld, user: SimulatedUser): Promise<void> {
  const process = world.newProcess("script", user.computer);
  const [deploymentId] = world.deployments;
  if (deploymentId === undefined) return;
  let launched: Awaited<ReturnType<SimulatedUser["launch"]>>;
  for (let tries = 0; launched === undefined && tries < 20; tries += 1) {
    launched = await user.launch(deploymentId, kind === "expire" ? 8 : 25);
    if (launched === undefined) await process.pass(1000);
  }
  if (launched === undefined) return;
  const { instanceId } = launched;
  const leaving = new AbortController();
  void user.act(instanceId, leaving.signal);
  if (kind === "cancel") await process.pass(250);
  else await untilUsed(world, process, instanceId);
  if (kind === "adopt") {
    const daemon = world.hosts[0]?.daemon;
    world.trace.note("fault", "kill host0, which is to adopt");
    daemon?.kill();
    await process.pass(BACK_AFTER_MS);
    daemon?.start();
    await process.pass(6000);
  }
  if (kind === "expire") return;
  for (let tries = 0; tries < 12; tries += 1) {
    await user.terminate(instanceId);
    await process.pass(1000);
  }
  leaving.abort();
}

async function untilUsed(world: SimulatedWorld, process: SimulatedProcess, instanceId: string): Promise<void> {
  for (let waitedMs = 0; waitedMs < READY_WITHIN_MS; waitedMs += 200) {
    if (world.ledger.has("action", instanceId)) return;
    await process.pass(200);
  }
}
