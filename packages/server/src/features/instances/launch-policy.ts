import { decideAccess } from "@hardshare/core";
import type { DeploymentStatus, StoredAccessRule } from "@hardshare/db";
import { AppError, describeRest, formatNaiveUtc } from "@hardshare/protocol";
import { type Caller, canWrite } from "../../http/caller.ts";
import { lockoutView, restView } from "../deployments/views.ts";

/** @throws AppError `token_scope` when the token cannot launch anything */
export function requireLauncher(caller: Caller): void {
  if (caller.claims.in !== undefined) {
    throw new AppError("token_scope", "token already constrained to another instance; launching needs one that is not");
  }
  if (!canWrite(caller.claims)) throw new AppError("token_scope", "token scope does not permit instantiation");
}

/**
 * Why this caller can't launch this deployment, busy or not; null when nothing is in the way. Order and texts are those
 * of the existing API (rerobots-http-api.md §2.2).
 */
export function refusalToLaunch(
  deployment: DeploymentStatus,
  rules: readonly StoredAccessRule[],
  caller: Caller,
  requestedS: number | null,
): AppError | null {
  const details = { deployment: deployment.id };
  if (deployment.dissolvedAt !== null) return new AppError("dissolved", "workspace deployment is permanently unavailable", { details });
  if (deployment.lockout !== null) {
    return new AppError("locked_out", "workspace deployment is locked out (unavailable), please contact us ", {
      details: { ...details, ...lockoutView(deployment.lockout) },
    });
  }
  if (!deployment.isOnline) {
    return new AppError("host_offline", "workspace deployment temporarily unavailable, try again later", { details });
  }
  const access = decideAccess(deployment.owner, rules, caller);
  if (!access.isAllowed) {
    return new AppError(
      "access_denied",
      `you may not launch workspace deployment ${deployment.id}; ask its owner ${deployment.owner} for an access rule`,
      {
        details: { ...details, because: access.because },
      },
    );
  }
  if (caller.claims.wt !== undefined && !caller.claims.wt.includes(deployment.type)) {
    return new AppError("token_scope", `token not valid for wtype ${deployment.type}`, { details });
  }
  if (requestedS !== null && requestedS > deployment.maxDurationS) {
    return new AppError(
      "bad_input",
      `value for option \`expire_d\` is too large: expected at most ${deployment.maxDurationS} seconds, the longest time that the owner allows`,
      { details: { ...details, field: "expire_d", expected: `at most ${deployment.maxDurationS}` } },
    );
  }
  const { resting } = restView(deployment);
  if (resting !== undefined) {
    const message = `workspace deployment is resting ${describeRest(resting)}, try again later`;
    return new AppError("resting", message, { details: { ...details, ...resting } });
  }
  return null;
}

/** When an instance ends that is asked for now: the lab may close before. @throws AppError `resting` when it closes at this moment */
export function launchDeadline(deployment: DeploymentStatus, requestedS: number | null, at: Date): Date {
  const asked = at.getTime() + (requestedS ?? deployment.maxDurationS) * 1000;
  const deadline = Math.min(asked, deployment.closesAt?.getTime() ?? asked);
  if (deadline > at.getTime()) return new Date(deadline);
  throw new AppError("resting", "workspace deployment is closing at this moment, try again later", {
    details: { deployment: deployment.id },
  });
}

/** All that could be launched is taken; says who has it and until when. */
export function allBusy(deployments: readonly DeploymentStatus[]): AppError {
  const holders = deployments.flatMap(({ id, holder }) =>
    holder === null ? [] : [{ deployment: id, user: holder.user, expires: formatNaiveUtc(holder.deadline) }],
  );
  return new AppError("busy", "All matching workspace deployments are busy. Try again later.", { details: { holders } });
}
