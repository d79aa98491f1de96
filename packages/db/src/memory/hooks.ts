import { type HookStore, MAX_WAITING_DELIVERIES } from "../stores/hooks.ts";
import { requireReferenced, requireUnique } from "./constraints.ts";
import type { OnData } from "./on-data.ts";
import { sortBy } from "./order.ts";

export const hooks: OnData<HookStore> = {
  list(data, deploymentId) {
    return sortBy(
      data.hooks.filter((row) => row.deploymentId === deploymentId),
      (row) => [row.createdAt, row.id],
    );
  },

  replace(data, { deploymentId, kind, hooks: wanted, at }) {
    const known = data.hooks.filter((row) => row.deploymentId === deploymentId && row.kind === kind);
    for (const row of known) {
      if (wanted.some(({ target }) => target === row.target)) continue;
      for (const delivery of data.deliveries.filter(({ hookId }) => hookId === row.id)) data.deliveries.delete(delivery);
      data.hooks.delete(row);
    }
    for (const { id, target, secretEncrypted } of wanted) {
      if (data.hooks.find((row) => row.deploymentId === deploymentId && row.kind === kind && row.target === target) !== undefined) continue;
      requireUnique(data.hooks.get(id), "hooks_pkey");
      requireReferenced(data.deployments.get(deploymentId), "hooks", "hooks_deployment_id_fkey");
      const sealed = secretEncrypted === null ? null : Buffer.from(secretEncrypted);
      data.hooks.put({ id, deploymentId, kind, target, secretEncrypted: sealed, createdAt: at, deliveredAt: null, problem: null });
    }
  },

  enqueue(data, { id, hookId, body, at }) {
    if (data.hooks.get(hookId) === undefined) return false;
    if (data.deliveries.filter((row) => row.hookId === hookId).length >= MAX_WAITING_DELIVERIES) return false;
    requireUnique(data.deliveries.get(id), "deliveries_pkey");
    data.deliveries.put({ id, hookId, body, createdAt: at, attempts: 0, nextAttemptAt: at });
    return true;
  },

  take(data, { at, leaseUntil, limit }) {
    const due = sortBy(
      data.deliveries.filter((row) => row.nextAttemptAt <= at),
      (row) => [row.nextAttemptAt, row.id],
    ).slice(0, limit);
    const taken = due.flatMap((row) => {
      const { id, hookId, body, createdAt, attempts } = data.deliveries.put({
        ...row,
        attempts: row.attempts + 1,
        nextAttemptAt: leaseUntil,
      });
      const hook = data.hooks.get(hookId);
      return hook === undefined ? [] : [{ id, hook, body, createdAt, attempts }];
    });
    return sortBy(taken, (delivery) => [delivery.createdAt, delivery.id]);
  },

  nextAttempt(data) {
    return sortBy(data.deliveries.all(), (row) => [row.nextAttemptAt])[0]?.nextAttemptAt ?? null;
  },

  settle(data, { id, at, result }) {
    const row = data.deliveries.get(id);
    const hook = row === undefined ? undefined : data.hooks.get(row.hookId);
    if (row === undefined || hook === undefined) return;
    const isDelivered = result === "delivered";
    data.hooks.put(isDelivered ? { ...hook, deliveredAt: at, problem: null } : { ...hook, problem: result.problem });
    if (isDelivered || result.nextAttemptAt === null) data.deliveries.delete(row);
    else data.deliveries.put({ ...row, nextAttemptAt: result.nextAttemptAt });
  },
};
