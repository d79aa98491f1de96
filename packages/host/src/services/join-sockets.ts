import { Socket } from "node:net";

/**
 * Carries bytes both ways between two sockets made with `allowHalfOpen`, with back-pressure: no more is in memory than
 * the two buffer. The end of one way ends that way only; a break of one cuts the other, a TCP connection with a reset,
 * so that its peer can't take a torn stream for a whole one.
 */
export function joinSockets(a: Socket, b: Socket): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.pipe(to);
    from.on("error", () => {}); // `close` follows
    from.once("close", () => {
      if (!from.readableEnded) cut(to);
    });
  }
}

function cut(socket: Socket): void {
  if (socket.destroyed) return;
  if (socket.remoteAddress === undefined) socket.destroy();
  else socket.resetAndDestroy();
}
