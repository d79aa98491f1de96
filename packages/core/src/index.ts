/**
 * The rules of the game, pure: lifecycle, access rules, deadlines, plans. No I/O, no clock, no randomness: callers pass
 * what they know. Imported by server, hub, host and filters.
 */
export * from "./access-policy.ts";
export * from "./deadline.ts";
export * from "./lifecycle.ts";
export * from "./opening-hours.ts";
export * from "./reconcile-host.ts";
export * from "./rest.ts";
