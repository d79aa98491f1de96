import { AppError } from "@hardshare/protocol";
import { type Selectable, sql } from "kysely";
import type { AccessRuleStore, StoredAccessRule } from "../stores/access-rules.ts";
import type { Tables } from "./tables.ts";
import { sqlOf } from "./transaction.ts";

/** Largest id that existing clients can hold (16 bits, rerobots-http-api.md §9.10). */
export const MAX_RULE_ID = 65_535;

export const accessRules: AccessRuleStore = {
  async list(tx, deploymentId) {
    const rows = await sqlOf(tx).selectFrom("accessRules").selectAll().where("deploymentId", "=", deploymentId).orderBy("id").execute();
    return rows.map(toAccessRule);
  },

  async add(tx, { deploymentId, user, capability, at }) {
    // The deployment's row orders those who add at the same time.
    const deployment = await sqlOf(tx)
      .selectFrom("deployments")
      .select("id")
      .where("id", "=", deploymentId)
      .forNoKeyUpdate()
      .executeTakeFirst();
    if (deployment === undefined) throw new AppError("not_found", "no workspace deployment found with given ID");
    const existing = await sqlOf(tx)
      .selectFrom("accessRules")
      .select("id")
      .where("deploymentId", "=", deploymentId)
      .where("userName", "=", user)
      .where("capability", "=", capability)
      .executeTakeFirst();
    if (existing !== undefined) return { ruleId: existing.id, isNew: false };
    const ruleId = await smallestFreeId(tx, deploymentId);
    await sqlOf(tx).insertInto("accessRules").values({ deploymentId, id: ruleId, userName: user, capability, createdAt: at }).execute();
    return { ruleId, isNew: true };
  },

  async remove(tx, { deploymentId, ruleId }) {
    const row = await sqlOf(tx)
      .deleteFrom("accessRules")
      .where("deploymentId", "=", deploymentId)
      .where("id", "=", ruleId)
      .returningAll()
      .executeTakeFirst();
    return row === undefined ? null : toAccessRule(row);
  },
};

async function smallestFreeId(tx: Parameters<AccessRuleStore["add"]>[0], deploymentId: string): Promise<number> {
  const { rows } = await sql<{ id: number }>`
    select coalesce(min(before.id), 0) + 1 as id
    from (select 0 as id union all select id from access_rules where deployment_id = ${deploymentId}) before
    where not exists (select 1 from access_rules r where r.deployment_id = ${deploymentId} and r.id = before.id + 1)
  `.execute(sqlOf(tx));
  const id = rows[0]?.id ?? 1;
  if (id > MAX_RULE_ID)
    throw new AppError("conflict", `this workspace deployment has ${MAX_RULE_ID} access rules, which is the most; remove some`);
  return id;
}

function toAccessRule({ userName, ...row }: Selectable<Tables["accessRules"]>): StoredAccessRule {
  return { ...row, user: userName };
}
