import type { DeploymentId } from "@hardshare/protocol";
import type { Row } from "../postgres/tables.ts";
import type { Lockout, LockoutStore } from "../stores/lockouts.ts";
import { requireReferenced } from "./constraints.ts";
import type { Data } from "./data.ts";
import { appendEvent } from "./events.ts";
import type { OnData } from "./on-data.ts";
import { sortBy } from "./order.ts";

export const lockouts: OnData<LockoutStore> = {
  add(data, { id, deploymentId, instanceId, kind, reason, actor, at }) {
    if (data.lockouts.get(`${deploymentId}/${id}`) !== undefined) return false;
    requireReferenced(data.deployments.get(deploymentId), "lockouts", "lockouts_deployment_id_fkey");
    data.lockouts.put({ id, deploymentId, instanceId, kind, reason, actor, at, liftedAt: null, liftedBy: null });
    appendEvent(data, { at, deploymentId, instanceId, kind: "lockout", actor, data: { change: "set", id, cause: kind, reason } });
    return true;
  },

  lift(data, { deploymentId, kind, actor, at }) {
    const lifted = lockoutsInForce(data, deploymentId).filter((row) => kind === undefined || row.kind === kind);
    for (const row of lifted) {
      const { id, kind: cause, reason } = row;
      data.lockouts.put({ ...row, liftedAt: at, liftedBy: actor });
      const details = { change: "lifted", id, cause, reason };
      appendEvent(data, { at, deploymentId, instanceId: null, kind: "lockout", actor, data: details });
    }
    return lifted.map(toLockout);
  },

  list: (data, deploymentId) => lockoutsInForce(data, deploymentId).map(toLockout),
};

/** The oldest first. */
export function lockoutsInForce(data: Data, deploymentId: DeploymentId): Row<"lockouts">[] {
  const inForce = data.lockouts.filter((row) => row.deploymentId === deploymentId && row.liftedAt === null);
  return sortBy(inForce, (row) => [row.at, row.id]);
}

export function toLockout({ liftedAt: _at, liftedBy: _by, ...lockout }: Row<"lockouts">): Lockout {
  return lockout;
}
