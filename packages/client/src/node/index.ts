/**
 * What programs on Node have beyond the HTTP API: tunnels to instances through the server's port, and keys for them.
 * The command `hardshare` is made of it.
 */
export { openTunnel, type TunnelOptions } from "./open-tunnel.ts";
export { MAX_FORWARDED_CONNECTIONS, type ServedTunnel, serveTunnel, type ServeTunnelOptions } from "./serve-tunnel.ts";
export { makeKeyPair, usesNativeCrypto } from "./keys.ts";
