import type { Database, DeploymentStatus, Transaction } from "@hardshare/db";
import { AppError, type DeploymentId, formatNaiveUtc } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import { type Caller, requireWriter } from "../../http/caller.ts";
import { announceDeployment } from "../../wake-ups/topics.ts";
import { getDeployment } from "../deployments/lookup.ts";
import { requireOwner } from "../deployments/ownership.ts";
import { applyLifecycleEvent } from "../instances/instance-changes.ts";

/** Owners take deployments out of use for ever: their ids are never used again. */
export class DissolutionService {
  readonly #database: Database;
  readonly #clock: Clock;

  constructor(deps: { database: Database; clock: Clock }) {
    this.#database = deps.database;
    this.#clock = deps.clock;
  }

  /**
   * Dissolves a deployment. With `force` a running instance is ended; else there may be none.
   * @throws AppError `not_found`, `access_denied`, `token_scope`, `dissolved`, `busy`
   */
  async dissolve(caller: Caller, id: DeploymentId, how: { reason: string; force: boolean }): Promise<DeploymentStatus> {
    requireWriter(caller);
    const database = this.#database;
    const at = new Date(this.#clock.now());
    return database.transaction(async (tx) => {
      requireOwner(caller, await getDeployment(database, tx, id));
      const held = await database.deployments.getForUpdate(tx, id);
      if (held === null || !(await database.deployments.dissolve(tx, id, at))) throw new AppError("dissolved", "already dissolved");
      if (held.holder !== null && held.holder.state !== "TERMINATING") {
        if (!how.force) throw isBusy(held);
        const instance = await database.instances.getForUpdate(tx, held.holder.instanceId);
        const cause = { at, actor: caller.user, reason: "owner" } as const;
        if (instance !== null)
          await applyLifecycleEvent(database, tx, { instance, hostId: held.hostId }, { kind: "end", reason: "owner" }, cause);
      }
      const data = { reason: how.reason };
      await database.events.append(tx, { at, deploymentId: id, instanceId: null, kind: "dissolved", actor: caller.user, data });
      if (held.hostId !== null) await announceDeployment(database, tx, { hostId: held.hostId, deploymentId: id });
      return getDeployment(database, tx, id);
    });
  }
}

function isBusy({ id, holder }: DeploymentStatus): AppError {
  const facts = { deployment: id, user: holder?.user ?? "", expires: holder === null ? "" : formatNaiveUtc(holder.deadline) };
  return new AppError("busy", `an instance of ${facts.user} runs: wait for its end, or dissolve with force, which ends it`, {
    details: { holders: [facts] },
  });
}

/** By whom, when and why a deployment was dissolved; null for one that is not. */
export async function findDissolution(
  database: Database,
  tx: Transaction,
  { id, dissolvedAt }: { id: DeploymentId; dissolvedAt: Date | null },
): Promise<{ reason: string; actor: string; at: Date } | null> {
  if (dissolvedAt === null) return null;
  const [event] = await database.events.listNewestOfDeployment(tx, { deploymentId: id, kinds: ["dissolved"], limit: 1 });
  const reason = event?.data["reason"];
  return { reason: typeof reason === "string" ? reason : "", actor: event?.actor ?? "", at: dissolvedAt };
}
