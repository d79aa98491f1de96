import type { Database } from "@hardshare/db";
import { NewLockout, parseWith } from "@hardshare/protocol";
import type { Clock, Random } from "@hardshare/runtime";
import type { FastifyInstance } from "fastify";
import { callerOf, NEEDS_CALLER, requireWriter } from "../../http/caller.ts";
import { announceDeployment } from "../../wake-ups/topics.ts";
import { deploymentIdIn, getDeployment } from "../deployments/lookup.ts";
import { requireOwner } from "../deployments/ownership.ts";

/** `POST|DELETE /deployment/ID/lockout`: the owner takes a deployment out of use, and back. Running instances go on. */
export function addLockoutRoutes(app: FastifyInstance, deps: { database: Database; clock: Clock; random: Random }): void {
  const { database, clock, random } = deps;

  app.post("/deployment/:id/lockout", NEEDS_CALLER, async (request, reply) => {
    const caller = callerOf(request);
    requireWriter(caller);
    const id = deploymentIdIn(request.params);
    const { reason = "locked by its owner" } = parseWith(NewLockout, request.body ?? {}, "request body");
    await database.transaction(async (tx) => {
      const deployment = await getDeployment(database, tx, id);
      requireOwner(caller, deployment);
      const inForce = await database.lockouts.list(tx, id);
      if (inForce.some((lockout) => lockout.kind === "person" && lockout.actor === caller.user && lockout.reason === reason)) return;
      const lockout = { id: random.uuid(), deploymentId: id, instanceId: null, kind: "person" as const, reason, actor: caller.user };
      await database.lockouts.add(tx, { ...lockout, at: new Date(clock.now()) });
      if (deployment.hostId !== null) await announceDeployment(database, tx, { hostId: deployment.hostId, deploymentId: id });
    });
    return reply.send();
  });

  app.delete("/deployment/:id/lockout", NEEDS_CALLER, async (request, reply) => {
    const caller = callerOf(request);
    requireWriter(caller);
    const id = deploymentIdIn(request.params);
    await database.transaction(async (tx) => {
      const deployment = await getDeployment(database, tx, id);
      requireOwner(caller, deployment);
      await database.lockouts.lift(tx, { deploymentId: id, actor: caller.user, at: new Date(clock.now()) });
      if (deployment.hostId !== null) await announceDeployment(database, tx, { hostId: deployment.hostId, deploymentId: id });
    });
    return reply.send();
  });
}
