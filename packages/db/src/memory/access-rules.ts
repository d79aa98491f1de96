import { AppError } from "@hardshare/protocol";
import { MAX_RULE_ID } from "../postgres/access-rules.ts";
import type { Row } from "../postgres/tables.ts";
import type { AccessRuleStore, StoredAccessRule } from "../stores/access-rules.ts";
import type { Data } from "./data.ts";
import type { OnData } from "./on-data.ts";
import { sortBy } from "./order.ts";

export const accessRules: OnData<AccessRuleStore> = {
  list: (data, deploymentId) => rulesOf(data, deploymentId).map(toAccessRule),

  add(data, { deploymentId, user, capability, at }) {
    if (data.deployments.get(deploymentId) === undefined) {
      throw new AppError("not_found", "no workspace deployment found with given ID");
    }
    const rules = rulesOf(data, deploymentId);
    const existing = rules.find((rule) => rule.userName === user && rule.capability === capability);
    if (existing !== undefined) return { ruleId: existing.id, isNew: false };
    const gap = rules.findIndex((rule, index) => rule.id !== index + 1);
    const ruleId = (gap === -1 ? rules.length : gap) + 1;
    if (ruleId > MAX_RULE_ID) {
      throw new AppError("conflict", `this workspace deployment has ${MAX_RULE_ID} access rules, which is the most; remove some`);
    }
    data.accessRules.put({ deploymentId, id: ruleId, userName: user, capability, createdAt: at });
    return { ruleId, isNew: true };
  },

  remove(data, { deploymentId, ruleId }) {
    const rule = data.accessRules.get(`${deploymentId}/${ruleId}`);
    if (rule === undefined) return null;
    data.accessRules.delete(rule);
    return toAccessRule(rule);
  },
};

/** By id. */
function rulesOf(data: Data, deploymentId: string): Row<"accessRules">[] {
  const rules = data.accessRules.filter((rule) => rule.deploymentId === deploymentId);
  return sortBy(rules, (rule) => [rule.id]);
}

function toAccessRule({ userName, ...row }: Row<"accessRules">): StoredAccessRule {
  return { ...row, user: userName };
}
