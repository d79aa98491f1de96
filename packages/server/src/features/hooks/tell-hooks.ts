import type { Database, Transaction } from "@hardshare/db";
import type { DeploymentId, HookMessage, InstanceId } from "@hardshare/protocol";
import type { Random } from "@hardshare/runtime";
import { scopes } from "../../wake-ups/topics.ts";

/** Something that the owner of a deployment should hear of. */
export interface Alert {
  deploymentId: DeploymentId;
  instanceId: InstanceId | null;
  message: string;
  at: Date;
}

interface AlertDeps {
  database: Database;
  random: Random;
}

/** Records an alert in the history of the deployment, and lets its hooks be told. @returns as `tellHooks` */
export async function raiseAlert(
  deps: AlertDeps,
  tx: Transaction,
  alert: Alert & { actor: string },
): Promise<{ webhook: number; email: number }> {
  const { at, deploymentId, instanceId, actor, message } = alert;
  await deps.database.events.append(tx, { at, deploymentId, instanceId, kind: "alert", actor, data: { message } });
  return tellHooks(deps, tx, alert);
}

/**
 * Lets all hooks of a deployment be told, in the transaction of what happened: neither is there without the other.
 * @returns how many of each kind will be
 */
export async function tellHooks(
  { database, random }: AlertDeps,
  tx: Transaction,
  alert: Alert,
): Promise<{ webhook: number; email: number }> {
  const told = { webhook: 0, email: 0 };
  const hooks = await database.hooks.list(tx, alert.deploymentId);
  if (hooks.length === 0) return told;
  const { deploymentId: deployment, instanceId: instance, message, at } = alert;
  const body = JSON.stringify({
    id: random.uuid(),
    kind: "alert",
    deployment,
    instance,
    at: at.toISOString(),
    message,
  } satisfies HookMessage);
  for (const { id: hookId, kind } of hooks) {
    if (await database.hooks.enqueue(tx, { id: random.uuid(), hookId, body, at })) told[kind] += 1;
  }
  await database.wakeUps.notify(tx, scopes.deliveries);
  return told;
}
