import type { Socket } from "node:net";
import { cut, onOrderlyEnd } from "@hardshare/runtime/sockets";

/** Chunks that may wait for a socket, however small: a chunk of one byte takes hundreds of bytes of memory. */
const MAX_WAITING_CHUNKS = 256;

/**
 * Carries bytes both ways between two sockets made with `allowHalfOpen`, with back-pressure: no more is in memory than
 * the two buffer, in at most 256 chunks each way. The end of one way ends that way only; a break of one cuts the other, a TCP connection with a reset,
 * so that its peer can't take a torn stream for a whole one.
 */
export function joinSockets(a: Socket, b: Socket): void {
  carry(a, b);
  carry(b, a);
}

function carry(from: Socket, to: Socket): void {
  let waitingChunks = 0;
  let hasEnded = false;
  const onTaken = () => {
    waitingChunks -= 1;
    if (waitingChunks === 0 && from.isPaused()) from.resume();
  };
  from.on("data", (chunk: Buffer) => {
    waitingChunks += 1;
    if (!to.write(chunk, onTaken) || waitingChunks >= MAX_WAITING_CHUNKS) from.pause();
  });
  onOrderlyEnd(from, () => {
    hasEnded = true;
    to.end();
  });
  from.on("error", () => {}); // `close` follows
  from.once("close", () => {
    if (!hasEnded) cut(to);
  });
}
