import { NewLockout, parseWith } from "@hardshare/protocol";
import type { FastifyInstance } from "fastify";
import { callerOf, NEEDS_CALLER } from "../../http/caller.ts";
import { deploymentIdIn } from "../deployments/lookup.ts";
import type { LockoutService } from "./lockout-service.ts";

/** `POST|DELETE /deployment/ID/lockout`. */
export function addLockoutRoutes(app: FastifyInstance, { lockouts }: { lockouts: LockoutService }): void {
  app.post("/deployment/:id/lockout", NEEDS_CALLER, async (request, reply) => {
    const { reason = "locked by its owner" } = parseWith(NewLockout, request.body ?? {}, "request body");
    await lockouts.lock(callerOf(request), deploymentIdIn(request.params), reason);
    return reply.send();
  });

  app.delete("/deployment/:id/lockout", NEEDS_CALLER, async (request, reply) => {
    await lockouts.unlock(callerOf(request), deploymentIdIn(request.params));
    return reply.send();
  });
}
