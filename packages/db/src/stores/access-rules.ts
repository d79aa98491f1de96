import type { Capability, DeploymentId } from "@hardshare/protocol";
import type { Transaction } from "./database.ts";

export interface StoredAccessRule {
  /** Counts per deployment, 1–65535. */
  id: number;
  deploymentId: DeploymentId;
  /** User name, organisation, `type:anon` or `*`. */
  user: string;
  capability: Capability;
  createdAt: Date;
}

export interface AccessRuleStore {
  /** By id. */
  list(tx: Transaction, deploymentId: DeploymentId): Promise<StoredAccessRule[]>;
  /**
   * Adds a rule with the smallest free id; when (user, capability) is there already, that one is returned.
   * @throws AppError `conflict` when all 65535 ids are taken, `not_found` for an unknown deployment
   */
  add(
    tx: Transaction,
    rule: { deploymentId: DeploymentId; user: string; capability: Capability; at: Date },
  ): Promise<{ ruleId: number; isNew: boolean }>;
  /** @returns the rule that was removed, or null when there was none of this id */
  remove(tx: Transaction, rule: { deploymentId: DeploymentId; ruleId: number }): Promise<StoredAccessRule | null>;
}
