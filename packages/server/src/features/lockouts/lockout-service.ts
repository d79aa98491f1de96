import type { Database } from "@hardshare/db";
import type { DeploymentId } from "@hardshare/protocol";
import type { Clock, Random } from "@hardshare/runtime";
import { type Caller, requireWriter } from "../../http/caller.ts";
import { announceDeployment } from "../../wake-ups/topics.ts";
import { getDeployment } from "../deployments/lookup.ts";
import { requireOwner } from "../deployments/ownership.ts";

/** Owners take deployments out of use, and back. */
export class LockoutService {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(deps: { database: Database; clock: Clock; random: Random }) {
    this.#database = deps.database;
    this.#clock = deps.clock;
    this.#random = deps.random;
  }

  /** Running instances go on. @throws AppError `not_found`, `access_denied`, `token_scope` */
  async lock(caller: Caller, id: DeploymentId, reason: string): Promise<void> {
    requireWriter(caller);
    const database = this.#database;
    await database.transaction(async (tx) => {
      const deployment = await getDeployment(database, tx, id);
      requireOwner(caller, deployment);
      const inForce = await database.lockouts.list(tx, id);
      if (inForce.some((lockout) => lockout.kind === "person" && lockout.actor === caller.user && lockout.reason === reason)) return;
      const lockout = { id: this.#random.uuid(), deploymentId: id, instanceId: null, kind: "person" as const, reason, actor: caller.user };
      await database.lockouts.add(tx, { ...lockout, at: new Date(this.#clock.now()) });
      if (deployment.hostId !== null) await announceDeployment(database, tx, { hostId: deployment.hostId, deploymentId: id });
    });
  }

  /** Lifts all that are in force. @throws AppError `not_found`, `access_denied`, `token_scope` */
  async unlock(caller: Caller, id: DeploymentId): Promise<void> {
    requireWriter(caller);
    const database = this.#database;
    await database.transaction(async (tx) => {
      const deployment = await getDeployment(database, tx, id);
      requireOwner(caller, deployment);
      await database.lockouts.lift(tx, { deploymentId: id, actor: caller.user, at: new Date(this.#clock.now()) });
      if (deployment.hostId !== null) await announceDeployment(database, tx, { hostId: deployment.hostId, deploymentId: id });
    });
  }
}
