import type { Database, StoredAccessRule } from "@hardshare/db";
import { type AccessRule, AppError, formatNaiveUtc, NewAccessRule, parseWith } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import type { FastifyInstance } from "fastify";
import * as z from "zod";
import { callerOf, NEEDS_CALLER, requireWriter } from "../../http/caller.ts";
import { deploymentIdIn, getDeployment } from "../deployments/lookup.ts";
import { isOwner, requireOwner } from "../deployments/ownership.ts";

const RulePath = z.object({
  rule: z
    .string()
    .regex(/^\d{1,5}$/, "expected the number of an access rule, 1 to 65535")
    .transform(Number),
});

/** `/deployment/ID/rules` and `/rule`: who may launch a deployment. Launches ask each time; running instances are not touched. */
export function addAccessRuleRoutes(app: FastifyInstance, deps: { database: Database; clock: Clock }): void {
  const { database, clock } = deps;

  app.get("/deployment/:id/rules", NEEDS_CALLER, async (request): Promise<{ rules: AccessRule[] }> => {
    const caller = callerOf(request);
    const id = deploymentIdIn(request.params);
    return database.transaction(async (tx) => {
      const deployment = await getDeployment(database, tx, id);
      const rules = await database.accessRules.list(tx, id);
      const seesAll = caller.isSuperuser || isOwner(caller, deployment.owner);
      const visible = ["*", "type:anon", caller.user, caller.org];
      return { rules: rules.filter((rule) => seesAll || visible.includes(rule.user)).map(ruleView) };
    });
  });

  app.post("/deployment/:id/rule", NEEDS_CALLER, async (request): Promise<{ rule_id: number }> => {
    const caller = callerOf(request);
    requireWriter(caller);
    const id = deploymentIdIn(request.params);
    const rule = readRule(request.body);
    return database.transaction(async (tx) => {
      requireOwner(caller, await getDeployment(database, tx, id));
      const at = new Date(clock.now());
      const { ruleId, isNew } = await database.accessRules.add(tx, { deploymentId: id, user: rule.user, capability: rule.cap, at });
      if (isNew) {
        const data = { change: "added", ruleId, user: rule.user, capability: rule.cap };
        await database.events.append(tx, { at, deploymentId: id, instanceId: null, kind: "access_rule", actor: caller.user, data });
      }
      return { rule_id: ruleId };
    });
  });

  app.delete("/deployment/:id/rule/:rule", NEEDS_CALLER, async (request, reply) => {
    const caller = callerOf(request);
    requireWriter(caller);
    const id = deploymentIdIn(request.params);
    const { rule: ruleId } = parseWith(RulePath, request.params, "path");
    await database.transaction(async (tx) => {
      requireOwner(caller, await getDeployment(database, tx, id));
      const removed = await database.accessRules.remove(tx, { deploymentId: id, ruleId });
      if (removed === null) {
        throw new AppError("not_found", `no access rule ${ruleId} at this workspace deployment`, { details: { field: "rule" } });
      }
      const data = { change: "removed", ruleId, user: removed.user, capability: removed.capability };
      const at = new Date(clock.now());
      await database.events.append(tx, { at, deploymentId: id, instanceId: null, kind: "access_rule", actor: caller.user, data });
    });
    return reply.send();
  });
}

/** The texts of the existing API (rerobots-http-api.md §2.1), then the fields. */
function readRule(body: unknown): z.infer<typeof NewAccessRule> {
  if (body === undefined) throw new AppError("bad_input", "post body required, but not given", { details: { field: "body" } });
  const capability = typeof body === "object" && body !== null && "cap" in body ? body.cap : undefined;
  if (capability !== undefined && !NewAccessRule.shape.cap.safeParse(capability).success) {
    throw new AppError(
      "bad_input",
      `unrecognized capability ${JSON.stringify(capability)}: expected CAP_INSTANTIATE or CAP_NO_INSTANTIATE`,
      {
        details: { field: "cap", expected: "CAP_INSTANTIATE or CAP_NO_INSTANTIATE" },
      },
    );
  }
  return parseWith(NewAccessRule, body, "request body");
}

function ruleView(rule: StoredAccessRule): AccessRule {
  return {
    id: rule.id,
    date_created: formatNaiveUtc(rule.createdAt),
    user: rule.user,
    wdeployment_id: rule.deploymentId,
    capability: rule.capability,
    param: null,
  };
}
