/**
 * SSH: keys, and the narrow transport over the library ssh2 that hub, host and server share. Nothing outside this
 * folder imports ssh2, so that another library, or OpenSSH itself, can carry the bytes.
 */
export { BoundedChannel } from "./bounded-channel.ts";
export type { ChannelRequest } from "./channel-table.ts";
export { SshForwarder, type SshForwarderOptions } from "./forwarder.ts";
export { HalfOpenLimit } from "./half-open-limit.ts";
export * from "./identity.ts";
export { HOST_LIVENESS, type Liveness, USER_LIVENESS } from "./liveness.ts";
export { usesNativeCrypto } from "./native-crypto.ts";
export { openThroughHub, type OpenThroughHubOptions } from "./open-through-hub.ts";
export { fingerprintOf, parsePublicKey, sameKey, type SshPublicKey } from "./public-key.ts";
export { pump } from "./pump.ts";
export { readHostKey } from "./read-host-key.ts";
export { sourceOf } from "./source.ts";
export { type SessionRules, SshServer, type SshServerOptions, type SshSession } from "./ssh-server.ts";
