/**
 * The store: what features see of it (`stores/`), PostgreSQL behind it (`postgres/`, `migrations/`), and the private
 * cluster that runs when no database is given (`cluster/`). Used by the server only; knows nothing of HTTP.
 */
export { type DumpedRow, dumpDatabase } from "./backup/dump-database.ts";
export { restoreDatabase } from "./backup/restore-database.ts";
export { findPrivateConnection, type PrivateCluster, type PrivateClusterOptions, startPrivateCluster } from "./cluster/private-cluster.ts";
export * from "./connection.ts";
export * from "./stores/access-rules.ts";
export * from "./stores/channels.ts";
export * from "./stores/database.ts";
export * from "./stores/deployments.ts";
export * from "./stores/events.ts";
export * from "./stores/firewalls.ts";
export * from "./stores/hooks.ts";
export * from "./stores/hosts.ts";
export * from "./stores/hubs.ts";
export * from "./stores/instances.ts";
export * from "./stores/lockouts.ts";
export * from "./stores/paging.ts";
export * from "./stores/tokens.ts";
export * from "./stores/users.ts";
export * from "./stores/wake-ups.ts";
export { connectDatabase, type DatabaseOptions } from "./postgres/postgres-database.ts";
