import * as z from "zod";

/**
 * `GET /tunnel/<instance id>` with a WebSocket upgrade and a Bearer token of the instance's user: the bytes of one
 * connection to the instance, in binary frames both ways. WebSocket has no half-close of its own, so an empty binary
 * frame says "I shall send no more": the other direction goes on. The normal end is a close with code 1000 by the
 * server, after both directions ended.
 */
export function tunnelPath(instanceId: string): string {
  return `/tunnel/${instanceId}`;
}

/** Bytes that each side of a tunnel's WebSocket buffers towards a slow peer before it stops reading. */
export const TUNNEL_BUFFER_BYTES = 256 * 1024;
/** Longest frame that a client sends in a tunnel. */
export const MAX_TUNNEL_FRAME_BYTES = 256 * 1024;

/**
 * `GET /heartbeat/<instance id>` with a WebSocket upgrade and a Bearer token of the instance's user, for the dead-man's
 * switch of its deployment. The server's first text frame says how often a heartbeat is wanted; where there is no such
 * switch it closes with code 1000 instead. Then the client sends heartbeats, which the server hands on to the host.
 */
export function heartbeatPath(instanceId: string): string {
  return `/heartbeat/${instanceId}`;
}
export const HeartbeatWish = z.object({ everyMs: z.number().positive() });
