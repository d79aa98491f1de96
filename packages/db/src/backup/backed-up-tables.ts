/** What a backup holds, in an order in which references find what they refer to. */
export const BACKED_UP_TABLES = [
  "users",
  "tokens",
  "hosts",
  "hubs",
  "deployments",
  "lockouts",
  "access_rules",
  "instances",
  "released_ports",
  "firewall_rules",
  "events",
  "hooks",
  "deliveries",
] as const;

/** What it does not: who is connected now, and the steps of the schema, which its first line names. */
export const LEFT_OUT_TABLES = ["channels", "schema_migrations"] as const;
