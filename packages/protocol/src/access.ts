import * as z from "zod";
import { AccessRuleUser, DeploymentId } from "./ids.ts";

/** What an access rule grants or denies. */
export const Capability = z.enum(["CAP_INSTANTIATE", "CAP_NO_INSTANTIATE"]);
export type Capability = z.infer<typeof Capability>;

/** One access rule, as `GET /deployment/ID/rules` lists it; `id` counts per deployment, 1–65535. */
export const AccessRule = z.object({
  id: z.int().min(1).max(65_535),
  date_created: z.string(),
  user: AccessRuleUser,
  wdeployment_id: DeploymentId,
  capability: Capability,
  param: z.null(),
});
export type AccessRule = z.infer<typeof AccessRule>;

/** What happens to a connection that matches a firewall rule. `REJECT` answers with a reset, `DROP` is silent. */
export const FirewallAction = z.enum(["ACCEPT", "DROP", "REJECT"]);
export type FirewallAction = z.infer<typeof FirewallAction>;

/** One firewall rule: source is an IPv4 or IPv6 address or subnet in CIDR notation. */
export const FirewallRule = z.object({ source: z.string(), action: FirewallAction });
export type FirewallRule = z.infer<typeof FirewallRule>;

/**
 * The firewall of an instance. `null`: never configured, everybody may connect (sshd authenticates by key).
 * A list: first match decides; what matches none is dropped (so an empty list drops all).
 */
export const Firewall = z.array(FirewallRule).nullable();
export type Firewall = z.infer<typeof Firewall>;
