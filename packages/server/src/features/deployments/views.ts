import type { DeploymentStatus, Lockout } from "@hardshare/db";
import { type DeploymentsList, type DeploymentView, formatNaiveUtc, type LockoutView } from "@hardshare/protocol";
import type * as z from "zod";
import type { Caller } from "../../http/caller.ts";
import { isOwner } from "./ownership.ts";

export function lockoutView(lockout: Lockout): z.infer<typeof LockoutView> {
  return { reason: lockout.reason, actor: lockout.actor, at: formatNaiveUtc(lockout.at) };
}

/** Whether it rests, as it is told: what holds it comes first. */
export function restView({ restWhy, restUntil, holder, isOnline }: DeploymentStatus): { resting?: { why: string; until: string | null } } {
  if (restWhy === null || holder !== null || !isOnline) return {};
  return { resting: { why: restWhy, until: restUntil === null ? null : formatNaiveUtc(restUntil) } };
}

/** What both views of a deployment say. */
function commonFacts(deployment: DeploymentStatus) {
  return {
    type: deployment.type,
    type_version: deployment.typeVersion,
    supported_addons: deployment.supportedAddons,
    desc: deployment.description,
    region: deployment.region,
    icounter: deployment.instanceCount,
    created: formatNaiveUtc(deployment.createdAt),
    queuelen: deployment.queueLength,
    online: deployment.isOnline,
    owner: deployment.owner,
    provider: deployment.provider,
    ...restView(deployment),
  };
}

/** What `GET /deployment/ID` says to this caller; names of people and what they wrote only to one who is logged in. */
export function deploymentView(deployment: DeploymentStatus, caller: Caller | null): DeploymentView {
  const { holder, lockout } = deployment;
  return {
    id: deployment.id,
    ...commonFacts(deployment),
    ...(lockout === null ? {} : { lockout: true as const }),
    ...(lockout === null || caller === null ? {} : { lockout_info: lockoutView(lockout) }),
    ...(deployment.dissolvedAt === null ? {} : { dissolved: formatNaiveUtc(deployment.dissolvedAt) }),
    ...(caller !== null && holder?.user === caller.user ? { instance: holder.instanceId } : {}),
    ...(caller !== null && isOwner(caller, deployment.owner) ? { addons_config: {} } : {}),
    max_duration: deployment.maxDurationS,
    holder: holder === null ? null : { ...(caller === null ? {} : { user: holder.user }), expires: formatNaiveUtc(holder.deadline) },
  };
}

type ListedInfo = NonNullable<DeploymentsList["info"]>[string];

/** What `GET /deployments?info=t` says of each. */
export function listedInfo(deployment: DeploymentStatus): ListedInfo {
  return {
    ...commonFacts(deployment),
    locked: deployment.lockout !== null,
  };
}
