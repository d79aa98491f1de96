import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { PUMP_BYTES, PUMP_CHUNKS, PUMP_COPY_BYTES } from "./limits.ts";

/**
 * Carries bytes both ways between two streams until both are closed; never rejects. The end of one way ends that way
 * only. An error, or a close without an end, cuts the other stream too (a TCP connection with a reset, so that its
 * peer can't take a torn stream for a whole one). Nothing more is read while over `PUMP_BYTES`, or
 * `PUMP_CHUNKS` chunks, wait for the other stream. There is no timeout: a silent connection stays.
 */
export function pump(a: Duplex, b: Duplex): Promise<void> {
  carry(a, b);
  carry(b, a);
  return Promise.all([follow(a, b), follow(b, a)]).then(() => {});
}

/** Ends a stream at once; a TCP connection with a reset. */
export function cut(stream: Duplex): void {
  if (stream.destroyed) return;
  if (stream instanceof Socket && stream.remoteAddress !== undefined) stream.resetAndDestroy();
  else stream.destroy();
}

function carry(from: Duplex, to: Duplex): void {
  let isHeld = false;
  let isStopped = false;
  let waitingChunks = 0;
  const onTaken = () => {
    waitingChunks -= 1;
    if (!isStopped || waitingChunks > 0) return;
    isStopped = false;
    from.resume();
  };
  const isFull = () => to.writableLength > PUMP_BYTES || waitingChunks >= PUMP_CHUNKS;
  const flush = () => {
    if (!isHeld) return;
    isHeld = false;
    to.uncork();
    if (!isFull()) return;
    isStopped = true;
    from.pause();
  };
  from.on("data", (chunk: Buffer) => {
    if (!isHeld) {
      isHeld = true;
      to.cork(); // one system call for what comes in one turn
      process.nextTick(flush);
    }
    waitingChunks += 1;
    to.write(chunk.length < PUMP_COPY_BYTES && waitingChunks > 1 ? Buffer.from(chunk) : chunk, onTaken);
    if (isFull()) flush();
  });
  from.on("end", () => to.end());
  from.on("error", () => {}); // `close` follows
}

/** Closes `other` when `stream` has closed; settles when `stream` has closed. */
function follow(stream: Duplex, other: Duplex): Promise<void> {
  return new Promise((resolve) => {
    const onClose = () => {
      resolve();
      if (!stream.readableEnded) cut(other);
      else if (other.writableFinished) other.destroy();
      else other.once("finish", () => other.destroy());
    };
    if (stream.closed) onClose();
    else stream.once("close", onClose);
  });
}
