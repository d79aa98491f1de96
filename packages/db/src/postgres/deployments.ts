import { type ExpressionBuilder, sql } from "kysely";
import type { DeploymentFilter, DeploymentOrder, DeploymentStore } from "../stores/deployments.ts";
import { STATUS_COLUMNS, selectStatus, toStatus } from "./deployment-rows.ts";
import type { DeploymentsTable } from "./tables.ts";
import { sqlOf } from "./transaction.ts";
import { DEFAULT_MAX_DURATION_S } from "@hardshare/protocol";

/** Columns that `query` searches. */
const SEARCHED = sql`lower(concat_ws(' ', d.id, d.type, d.description, d.owner, d.region))`;

export const deployments: DeploymentStore = {
  async insert(tx, { at, supportedAddons, ...deployment }) {
    await sqlOf(tx)
      .insertInto("deployments")
      .values({
        ...deployment,
        supportedAddons: [...supportedAddons],
        provider: null,
        maxDurationS: DEFAULT_MAX_DURATION_S,
        createdAt: at,
        dissolvedAt: null,
      })
      .execute();
  },

  async get(tx, id) {
    const row = await selectStatus(sqlOf(tx)).selectAll("d").select(STATUS_COLUMNS).where("d.id", "=", id).executeTakeFirst();
    return row === undefined ? null : toStatus(row);
  },

  async getForUpdate(tx, id) {
    // Two statements: what is joined must be read after the lock was got.
    await sqlOf(tx).selectFrom("deployments").select("id").where("id", "=", id).forNoKeyUpdate().execute();
    return await deployments.get(tx, id);
  },

  async list(tx, { filter = {}, order = { by: "type", direction: "asc" }, page }) {
    const query = selectStatus(sqlOf(tx)).where((eb) => eb.and(conditionsOf(eb, filter)));
    const { total } = await query.select((eb) => eb.fn.countAll<number>().as("total")).executeTakeFirstOrThrow();
    const rows = await query
      .selectAll("d")
      .select(STATUS_COLUMNS)
      .orderBy(orderColumn(order.by), order.direction)
      .orderBy("d.createdAt")
      .orderBy("d.id")
      .$if(page !== undefined && page.maxPerPage > 0, (paged) =>
        paged.limit(page?.maxPerPage ?? 0).offset(((page?.page ?? 1) - 1) * (page?.maxPerPage ?? 0)),
      )
      .execute();
    return { items: rows.map(toStatus), total };
  },

  async listOfHost(tx, hostId) {
    const rows = await selectStatus(sqlOf(tx))
      .selectAll("d")
      .select(STATUS_COLUMNS)
      .where("d.hostId", "=", hostId)
      .orderBy("d.createdAt")
      .orderBy("d.id")
      .execute();
    return rows.map(toStatus);
  },

  async listTypes(tx, { withDissolved }) {
    const rows = await sqlOf(tx)
      .selectFrom("deployments")
      .select("type")
      .distinct()
      .$if(!withDissolved, (query) => query.where("dissolvedAt", "is", null))
      .orderBy("type")
      .execute();
    return rows.map((row) => row.type);
  },

  async updateFromHost(tx, hostId, deployment) {
    const rows = await sqlOf(tx)
      .updateTable("deployments")
      .set((eb) => ({
        provider: deployment.provider,
        probe: deployment.probe,
        hasPublicPort: deployment.publicPort,
        maxDurationS: deployment.maxDurationS,
        endTimeoutS: deployment.endTimeoutS,
        isAdvertised: deployment.isAdvertised,
        restWhy: deployment.rest?.why ?? null,
        restUntil: toDate(deployment.rest?.until),
        closesAt: toDate(deployment.closesAt),
        hostAlertIds: deployment.alerts.map(({ id }) => id),
        epochCounter: eb.fn<number>("greatest", ["epochCounter", eb.val(deployment.highestEpoch)]),
      }))
      .where("id", "=", deployment.deploymentId)
      .where("hostId", "=", hostId)
      .where("dissolvedAt", "is", null)
      .returning("id")
      .execute();
    return rows.length > 0;
  },

  async dissolve(tx, id, at) {
    const rows = await sqlOf(tx)
      .updateTable("deployments")
      .set({ dissolvedAt: at, isAdvertised: false })
      .where("id", "=", id)
      .where("dissolvedAt", "is", null)
      .returning("id")
      .execute();
    return rows.length > 0;
  },

  async setHost(tx, id, hostId) {
    await sqlOf(tx).updateTable("deployments").set({ hostId }).where("id", "=", id).execute();
  },

  async raiseEpoch(tx, id, epoch) {
    await sqlOf(tx)
      .updateTable("deployments")
      .set((eb) => ({ epochCounter: eb.fn<number>("greatest", ["epochCounter", eb.val(epoch)]) }))
      .where("id", "=", id)
      .execute();
  },

  async withdrawUnlisted(tx, hostId, listed) {
    await sqlOf(tx)
      .updateTable("deployments")
      .set({ isAdvertised: false })
      .where("hostId", "=", hostId)
      .where("isAdvertised", "=", true)
      .$if(listed.length > 0, (query) => query.where("id", "not in", listed))
      .execute();
  },
};

function toDate(iso: string | null | undefined): Date | null {
  return iso == null ? null : new Date(iso);
}

function orderColumn(by: DeploymentOrder["by"]) {
  return ({ type: "d.type", created: "d.createdAt", count: "d.instanceCount" } as const)[by];
}

function conditionsOf(eb: ExpressionBuilder<{ d: DeploymentsTable; i: { id: string | null } }, "d" | "i">, filter: DeploymentFilter) {
  const words = filter.query?.toLowerCase().split(/\s+/).filter(Boolean) ?? [];
  const conditions = words.map((word) => sql<boolean>`position(${word} in ${SEARCHED}) > 0`);
  if (filter.withDissolved !== true) conditions.push(sql<boolean>`${eb.ref("d.dissolvedAt")} is null`);
  if (filter.includeTypes !== undefined) conditions.push(sql<boolean>`${eb.ref("d.type")} = any(${[...filter.includeTypes]}::text[])`);
  if (filter.excludeTypes !== undefined) conditions.push(sql<boolean>`${eb.ref("d.type")} <> all(${[...filter.excludeTypes]}::text[])`);
  if (filter.owners !== undefined) conditions.push(sql<boolean>`${eb.ref("d.owner")} = any(${[...filter.owners]}::text[])`);
  if (filter.ids !== undefined) conditions.push(sql<boolean>`${eb.ref("d.id")} = any(${[...filter.ids]}::uuid[])`);
  if (filter.maxQueueLength === 0) conditions.push(sql<boolean>`${eb.ref("i.id")} is null`);
  return conditions;
}
