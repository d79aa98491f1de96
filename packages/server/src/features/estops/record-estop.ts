import type { Database, Transaction } from "@hardshare/db";
import { AppError, type InstanceId, isFinalState } from "@hardshare/protocol";
import type { Random } from "@hardshare/runtime";
import { announceDeployment, announceInstance, scopes } from "../../wake-ups/topics.ts";
import { getDeployment } from "../deployments/lookup.ts";
import { tellHooks } from "../hooks/tell-hooks.ts";
import { applyLifecycleEvent } from "../instances/instance-changes.ts";
import { instanceNotFound } from "../instances/policy.ts";
import type { EstopPress } from "./estop-dispatch.ts";

/** What became of an E-stop in the store. */
export interface RecordedEstop {
  instanceId: InstanceId | null;
  isHostConnected: boolean;
}

/**
 * Writes an E-stop down: the instance ends for it, the owner's locks the deployment out (what a user's means, the host
 * knows), and those who were not told yet look.
 * @param options.nextLockoutId for when a lock-out with the first id was set before, and lifted
 * @throws AppError `wrong_state` when the instance that is meant has ended, `not_found`
 */
export async function recordEstop(
  deps: { database: Database; random: Random },
  tx: Transaction,
  { press, lockoutId, nextLockoutId, at }: { press: EstopPress; lockoutId: string; nextLockoutId: string; at: Date },
): Promise<RecordedEstop> {
  const { database } = deps;
  const { by, actor, meansInstance, target } = press;
  const { deploymentId } = target;
  const deployment = await getDeployment(database, tx, deploymentId);
  const { hostId } = deployment;
  const instanceId = meansInstance ? (target.live?.instanceId ?? null) : (deployment.holder?.instanceId ?? null);
  let stopped: InstanceId | null = null;
  if (instanceId !== null) {
    const instance = await database.instances.getForUpdate(tx, instanceId);
    if (instance === null) throw instanceNotFound(instanceId);
    if (!isFinalState(instance.state)) {
      await database.instances.mark(tx, { instanceId, epoch: instance.epoch, mark: { kind: "estop" }, at });
      const cause = { at, actor, reason: "estop" } as const;
      const after = await applyLifecycleEvent(database, tx, { instance, hostId }, { kind: "end", reason: "estop" }, cause);
      if (after === instance) await announceInstance(database, tx, { instanceId, deploymentId, hostId, hubId: instance.hubId });
      stopped = instanceId;
    } else if (meansInstance) {
      throw new AppError("wrong_state", `instance already ${instance.state.toLowerCase()}; the owner can stop the deployment itself`, {
        details: { state: instance.state },
      });
    }
  }
  const data = { by, message: `E-stop by ${actor}` };
  await database.events.append(tx, { at, deploymentId, instanceId: stopped, kind: "estop", actor, data });
  await tellHooks(deps, tx, { at, deploymentId, instanceId: stopped, message: data.message });
  if (stopped !== null) await database.wakeUps.notify(tx, scopes.instance(stopped));
  if (by === "owner") {
    const inForce = await database.lockouts.list(tx, deploymentId);
    const idOf = (id: string) => (hostId === null ? id : `${hostId}:${id}`); // under which the host's own word for it would come
    const lockout = { deploymentId, instanceId: stopped, kind: "estop", reason: "E-stop", actor, at } as const;
    const isLocked = inForce.some(({ kind, id }) => kind === "estop" || id === idOf(lockoutId));
    if (!isLocked && !(await database.lockouts.add(tx, { ...lockout, id: idOf(lockoutId) }))) {
      await database.lockouts.add(tx, { ...lockout, id: idOf(nextLockoutId) }); // the first one was lifted
    }
    if (hostId !== null) await announceDeployment(database, tx, { hostId, deploymentId });
  }
  return { instanceId: stopped, isHostConnected: deployment.isHostConnected };
}
