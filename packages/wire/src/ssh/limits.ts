/**
 * Bounds of the SSH transport. One stream's share of memory in one process, towards one stalled peer, in one direction:
 * what the peer may still send (`WINDOW_BYTES`), `PUMP_BYTES` and one packet on their way into the other stream; or
 * `PUMP_BYTES` and one chunk from the other stream, one in that stream's own buffer and the connection's send queue.
 * 256 KiB either way.
 */

/** Receive window of a channel: what a peer may send before we have consumed it. */
export const WINDOW_BYTES = 192 * 1024;
/** Consumed bytes after which the window is opened again. */
export const WINDOW_STEP_BYTES = 64 * 1024;
/** Bytes that may wait for one of two joined streams; while there are more the other is not read. */
export const PUMP_BYTES = 32 * 1024;
/** Chunks of them, however small: a chunk of one byte takes hundreds of bytes of memory. */
export const PUMP_CHUNKS = 256;
/** Chunks smaller than this are copied to wait: each could keep the whole packet alive of which it is a part. */
export const PUMP_COPY_BYTES = 1024;
/** Largest payload of one packet, both ways (RFC 4253, section 6.1; ssh2 refuses packets over 35,000 bytes). */
export const PACKET_BYTES = 32 * 1024;
/** Smallest packet size that a peer may ask for; each byte as a packet of its own would be an attack. */
export const MIN_PACKET_BYTES = 1024;
/** Bytes in a connection's send queue above which channels wait. */
export const SEND_QUEUE_BYTES = 64 * 1024;
/** Bytes in a connection's send queue at which it is cut: a peer that asks for replies without reading them. */
export const MAX_SEND_QUEUE_BYTES = 1024 * 1024;
/** Channels of one connection, being opened, open, or closed by one side only. */
export const MAX_CHANNELS = 128;
/** Bytes from a connection that has not logged in, and bytes of replies that it has not read: logging in takes some kB. */
export const MAX_LOGIN_BYTES = 256 * 1024;
export const MAX_LOGIN_REPLY_BYTES = 64 * 1024;
/** Longest time from a connection to a successful login. */
export const LOGIN_TIMEOUT_MS = 10_000;
/** Longest time for keys to be exchanged anew, in which nothing else is sent. */
export const KEY_EXCHANGE_TIMEOUT_MS = 10_000;
/** Messages that wait for the end of a key exchange, above which the connection is cut: replies that the peer asks for meanwhile. */
export const MAX_KEY_EXCHANGE_QUEUE = 1000;
/** Data packets of a connection after which its keys are exchanged anew: long before the 2^32 at which nonces of chacha20-poly1305 repeat. */
export const REKEY_PACKETS = 2 ** 28;
