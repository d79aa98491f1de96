import { type LifecycleEvent, statesAfter } from "@hardshare/core";
import type { Database, Instance, Transaction } from "@hardshare/db";
import type { EndReason } from "@hardshare/protocol";
import { announceInstance } from "../../wake-ups/topics.ts";

/** Why and by whom an instance changes its state. */
export interface ChangeCause {
  at: Date;
  actor: string;
  reason?: EndReason;
  failedStep?: string;
  failedLog?: string;
}

/**
 * Leads an instance, whose row the transaction holds, through the states that an event means for it, and wakes all that
 * should look.
 * @returns the instance afterwards; unchanged when the event means nothing in its state (late or repeated)
 */
export async function applyLifecycleEvent(
  database: Database,
  tx: Transaction,
  held: { instance: Instance; hostId: string | null },
  event: LifecycleEvent,
  cause: ChangeCause,
): Promise<Instance> {
  let { instance } = held;
  for (const to of statesAfter(instance.state, event)) {
    const isFailure = to === "INIT_FAIL";
    const changed = await database.instances.changeState(tx, {
      instanceId: instance.id,
      from: instance.state,
      to,
      at: cause.at,
      actor: cause.actor,
      ...(cause.reason === undefined ? {} : { reason: cause.reason }),
      ...(isFailure && cause.failedStep !== undefined ? { failedStep: cause.failedStep } : {}),
      ...(isFailure && cause.failedLog !== undefined ? { failedLog: cause.failedLog } : {}),
    });
    if (changed === null) break; // cannot be while the row is held; then the rest does not apply either
    instance = changed;
  }
  if (instance !== held.instance) {
    const { id: instanceId, deploymentId, hubId } = instance;
    await announceInstance(database, tx, { instanceId, deploymentId, hostId: held.hostId, hubId });
  }
  return instance;
}

/** READY as soon as the host is up and the hub read a byte through the whole public way, both for this epoch. */
export async function makeReadyIfProved(
  database: Database,
  tx: Transaction,
  held: { instance: Instance; hostId: string | null },
  at: Date,
): Promise<void> {
  if (held.instance.upAt === null || held.instance.probedAt === null) return;
  await applyLifecycleEvent(database, tx, held, { kind: "ready" }, { at, actor: "server" });
}
