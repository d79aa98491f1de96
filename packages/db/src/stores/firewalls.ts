import type { Firewall, FirewallRule, InstanceId } from "@hardshare/protocol";
import type { Transaction } from "./database.ts";

/** Most firewall rules of one instance. */
export const MAX_FIREWALL_RULES = 256;

/** The firewall of an instance: null until the first rule or flush. */
export interface FirewallStore {
  get(tx: Transaction, instanceId: InstanceId): Promise<Firewall>;
  /**
   * Appends a rule at the end; from now on what matches none is dropped.
   * @throws AppError `conflict` beyond `MAX_FIREWALL_RULES`, `not_found` for an unknown instance
   */
  add(tx: Transaction, instanceId: InstanceId, rule: FirewallRule): Promise<void>;
  /**
   * Removes all rules; from now on everything is dropped.
   * @throws AppError `not_found` for an unknown instance
   */
  flush(tx: Transaction, instanceId: InstanceId): Promise<void>;
}
