import type { DeploymentId } from "@hardshare/protocol";
import { findMisdeeds, findUnrest, readStore, type StoreFacts } from "./invariants.ts";
import { type AcknowledgedLaunch, SimulatedUser } from "./simulated-user.ts";
import type { SimulatedWorld } from "./simulated-world.ts";

/** How long it may take until everything is at rest: the longest deadline, the time for which an unconfirmed end is waited for, and some more. */
const REST_WITHIN_MS = 150_000;
/** How often it is looked whether everything is at rest. */
const LOOK_MS = 2000;
/** How long a launch may take when all is well again. */
const LAUNCH_WITHIN_MS = 20_000;

/** Waits until nothing is under way any more. @returns what is still not as it must be when that takes too long */
export async function untilRest(
  world: SimulatedWorld,
  acknowledged: readonly AcknowledgedLaunch[],
  hasMishaps: boolean,
): Promise<{ facts: StoreFacts; problems: string[] }> {
  const { time } = world;
  const untilMs = time.nowMs + REST_WITHIN_MS;
  for (;;) {
    await time.runUntil(time.nowMs + LOOK_MS);
    const facts = await readStore(world);
    const problems = await findUnrest(world, facts, acknowledged, hasMishaps);
    if (problems.length === 0 || time.nowMs >= untilMs) return { facts, problems };
  }
}

/** Tries every free deployment out, and judges all that reached the devices. @returns the violations, in words */
export async function judge(world: SimulatedWorld, { lockouts }: StoreFacts): Promise<string[]> {
  const problems: string[] = [];
  const locked = new Set(lockouts.map(({ deploymentId }) => deploymentId));
  for (const deploymentId of world.deployments) {
    if (!locked.has(deploymentId)) problems.push(...(await tryOut(world, deploymentId)));
  }
  return [...problems, ...findMisdeeds(world.ledger.entries, (await readStore(world)).instances)];
}

/** A free deployment must be good for one more instance, which can be used and ends. @returns the violations, in words */
async function tryOut(world: SimulatedWorld, deploymentId: DeploymentId): Promise<string[]> {
  const first = await tryOnce(world, deploymentId);
  // After a restored backup the first launch may be told to try again.
  return first.some((problem) => problem.includes("launch again")) ? tryOnce(world, deploymentId) : first;
}

async function tryOnce(world: SimulatedWorld, deploymentId: DeploymentId): Promise<string[]> {
  const { time, ledger } = world;
  const user = new SimulatedUser("last", world);
  let launched: AcknowledgedLaunch | undefined;
  try {
    launched = await time.runThrough(user.launch(deploymentId, 30), LAUNCH_WITHIN_MS);
  } catch {
    launched = undefined;
  }
  if (launched === undefined) return [`deployment ${deploymentId} cannot be launched though all is well`];
  const { instanceId } = launched;
  const leaving = new AbortController();
  void user.act(instanceId, leaving.signal);
  const didMove = await time.runUntil(time.nowMs + LAUNCH_WITHIN_MS, () => ledger.has("action", instanceId));
  leaving.abort();
  void user.terminate(instanceId);
  const untilMs = time.nowMs + LAUNCH_WITHIN_MS;
  let instance: StoreFacts["instances"][number] | undefined;
  while (time.nowMs < untilMs && instance?.state !== "TERMINATED") {
    await time.runUntil(time.nowMs + LOOK_MS);
    instance = (await readStore(world)).instances.find(({ id }) => id === instanceId);
  }
  const problems: string[] = [];
  if (!didMove) problems.push(`instance ${instanceId} cannot be used though all is well: ${instance?.state} ${instance?.failedLog ?? ""}`);
  if (instance?.state !== "TERMINATED") problems.push(`instance ${instanceId} is ${instance?.state} though its user ended it`);
  return problems;
}
