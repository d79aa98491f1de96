import { Socket } from "node:net";
import type { Duplex } from "node:stream";

/**
 * Ends a stream at once; what was not yet taken is dropped. A TCP connection is reset, so that its peer can't take a torn
 * stream for a whole one, and that the kernel drops what it has not yet sent.
 */
export function cut(stream: Duplex): void {
  if (stream.destroyed) return;
  if (stream instanceof Socket && stream.remoteAddress !== undefined && !isShuttingDown(stream)) stream.resetAndDestroy();
  else stream.destroy();
}

/** While the end of a socket is on its way, which takes one turn, a reset is refused and the socket never closes (libuv: EINVAL). */
function isShuttingDown(socket: Socket): boolean {
  return socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
}
