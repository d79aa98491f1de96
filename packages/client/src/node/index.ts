/**
 * What programs on Node have beyond the HTTP API: tunnels to instances through the server's port, keys for
 * them, and the signs of life that a dead-man's switch waits for.
 * The command `hardshare` is made of it.
 */
export { openTunnel, type TunnelOptions } from "./open-tunnel.ts";
export { MAX_FORWARDED_CONNECTIONS, type ServedTunnel, serveTunnel, type ServeTunnelOptions } from "./serve-tunnel.ts";
export { type HeartbeatsOptions, sendHeartbeats } from "./send-heartbeats.ts";
export { makeKeyPair, usesNativeCrypto } from "./keys.ts";
