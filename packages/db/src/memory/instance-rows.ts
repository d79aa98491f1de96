import { type Firewall, LIVE_STATES } from "@hardshare/protocol";
import type { Row } from "../postgres/tables.ts";
import type { Data } from "./data.ts";
import { sortBy } from "./order.ts";

export function isLive(row: Row<"instances">): boolean {
  return (LIVE_STATES as readonly string[]).includes(row.state);
}

/** Null until the first rule or flush. */
export function firewallOf(data: Data, row: Row<"instances">): Firewall {
  if (!row.isFirewallConfigured) return null;
  const rules = data.firewallRules.filter((rule) => rule.instanceId === row.id);
  return sortBy(rules, (rule) => [rule.position]).map(({ source, action }) => ({ source, action }));
}
