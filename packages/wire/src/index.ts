/**
 * The channel between processes: JSON messages over a WebSocket with identity keys on both ends, liveness, limits and
 * reconnecting. Callers pass clock, randomness and transport. The SSH transport is the entry `@hardshare/wire/ssh`.
 */
export * from "./channel/accept-channel.ts";
export * from "./channel/connect-channel.ts";
export * from "./channel/frame-channel.ts";
export * from "./channel/message-socket.ts";
export * from "./channel/needs.ts";
