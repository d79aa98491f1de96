/**
 * The infrastructure: HTTP API, channels of hosts and hubs, tunnels over WebSocket, deadlines. Started by the command
 * line (`hardshare serve`, `hardshare up`) and by the testkit. All it keeps is in the store (`@hardshare/db`) and in its
 * data folder; it never speaks to a device.
 */
export { type BackupOptions, backupServer, restoreServer } from "./backup/backup-server.ts";
export { type RunningServer, type ServerOptions, startServer } from "./start-server.ts";
export type { RateLimits } from "./http/rate-limits.ts";
