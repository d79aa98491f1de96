import type { Capability } from "@hardshare/protocol";

/** The part of an access rule that deciding needs. */
export interface AccessGrant {
  user: string;
  capability: Capability;
}

/** Who asks: user name, organisation of the token (if any), whether a guest. */
export interface Requester {
  user: string;
  org: string | null;
  isGuest: boolean;
}

/** The decision, and the rule (or default) that made it, in words. */
export interface AccessDecision {
  isAllowed: boolean;
  because: string;
}

/**
 * Decides whether a requester may launch an instance. First hit wins, an allow before a deny of the same level:
 * the owner; a rule for the user or the organisation; for guests, a rule for `type:anon`; a rule for `*`; else no.
 * (The order of the existing system, rerobots-http-api.md §5.1, with the corrections of its §9.14.)
 */
export function decideAccess(owner: string, rules: readonly AccessGrant[], requester: Requester): AccessDecision {
  const names = requester.org === null ? [requester.user] : [requester.user, requester.org];
  if (!requester.isGuest && names.includes(owner)) return { isAllowed: true, because: "owner" };
  const levels: { users: readonly string[]; name: string }[] = [
    { users: names, name: `user ${requester.user}` },
    ...(requester.isGuest ? [{ users: ["type:anon"], name: "guests" }] : []),
    { users: ["*"], name: "everybody" },
  ];
  for (const level of levels) {
    const matching = rules.filter((rule) => level.users.includes(rule.user));
    if (matching.some((rule) => rule.capability === "CAP_INSTANTIATE"))
      return { isAllowed: true, because: `access rule for ${level.name}` };
    if (matching.length > 0) return { isAllowed: false, because: `access rule for ${level.name}` };
  }
  return { isAllowed: false, because: "no access rule" };
}
