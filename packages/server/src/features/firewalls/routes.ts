import type { Database, InstanceDetails, Transaction } from "@hardshare/db";
import { AppError, type FirewallList, type FirewallRule, type InstanceId, NewFirewallRule } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type * as z from "zod";
import { type Caller, callerOf, NEEDS_CALLER } from "../../http/caller.ts";
import { scopes } from "../../wake-ups/topics.ts";
import { getInstanceAs, instanceIdIn, requireInstanceWriter } from "../instances/policy.ts";
import { readSource } from "./sources.ts";

/** `/firewall/ID`: which addresses may reach an instance's port. For its user and the owner of the deployment. */
export function addFirewallRoutes(app: FastifyInstance, deps: { database: Database; clock: Clock }): void {
  const { database, clock } = deps;

  app.get("/firewall/:id", NEEDS_CALLER, async (request): Promise<z.infer<typeof FirewallList>> => {
    const [caller, id] = [callerOf(request), instanceIdIn(request.params)];
    const rules = await database.transaction(async (tx) => {
      await getActive(tx, caller, id);
      return database.firewalls.get(tx, id);
    });
    return { rules: rules?.map((rule) => ({ ...rule, src: rule.source })) ?? null };
  });

  app.post("/firewall/:id", NEEDS_CALLER, async (request, reply) => {
    const [caller, id] = [callerOf(request), instanceIdIn(request.params)];
    const rule = readRule(request);
    await change(caller, id, { change: "added", ...rule }, (tx) => database.firewalls.add(tx, id, rule));
    return reply.send();
  });

  app.delete("/firewall/:id", NEEDS_CALLER, async (request, reply) => {
    const [caller, id] = [callerOf(request), instanceIdIn(request.params)];
    await change(caller, id, { change: "flushed" }, (tx) => database.firewalls.flush(tx, id));
    return reply.send();
  });

  async function change(
    caller: Caller,
    id: InstanceId,
    data: Record<string, unknown>,
    act: (tx: Transaction) => Promise<void>,
  ): Promise<void> {
    requireInstanceWriter(caller);
    await database.transaction(async (tx) => {
      const { instance } = await getActive(tx, caller, id);
      await act(tx);
      const at = new Date(clock.now());
      const { deploymentId } = instance;
      await database.events.append(tx, { at, deploymentId, instanceId: id, kind: "firewall_rule", actor: caller.user, data });
      await database.wakeUps.notify(tx, `${scopes.hub(instance.hubId)}/${id}`, scopes.instance(id));
    });
  }

  async function getActive(tx: Transaction, caller: Caller, id: InstanceId): Promise<InstanceDetails> {
    const found = await getInstanceAs(database, tx, { id, caller, roles: ["user", "owner", "superuser"] });
    const { state } = found.instance;
    if (state !== "INIT" && state !== "READY") throw new AppError("wrong_state", "instance not active", { details: { state } });
    return found;
  }
}

/** A new firewall rule; without `src` it is for the address that the request comes from. */
function readRule(request: FastifyRequest): FirewallRule {
  const parsed = NewFirewallRule.safeParse(request.body ?? {});
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const field = String(issue?.path[0] ?? "body");
    const text =
      field === "action" ? "not recognized: expected ACCEPT, DROP or REJECT" : `has wrong type: ${issue?.message ?? "unexpected"}`;
    throw new AppError("bad_input", `value for option \`${field}\` ${text}`, { details: { field, expected: issue?.message } });
  }
  return { source: readSource(parsed.data.src ?? request.address), action: parsed.data.action };
}
