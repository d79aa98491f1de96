import type { Duplex } from "node:stream";
import { cut, onOrderlyEnd } from "@hardshare/runtime/sockets";
import { PUMP_BYTES, PUMP_CHUNKS, PUMP_COPY_BYTES } from "./limits.ts";

/**
 * Carries bytes both ways between two streams until both are closed; never rejects. The end of one way ends that way
 * only. An error, or a close without an end, cuts the other stream too (a TCP connection with a reset, so that its
 * peer can't take a torn stream for a whole one). Nothing more is read while over `PUMP_BYTES`, or
 * `PUMP_CHUNKS` chunks, wait for the other stream. There is no timeout: a silent connection stays.
 */
export function pump(a: Duplex, b: Duplex): Promise<void> {
  return Promise.all([carry(a, b), carry(b, a)]).then(() => {});
}

/** Carries one way, and closes `to` when `from` has closed; settles then. */
function carry(from: Duplex, to: Duplex): Promise<void> {
  let hasEnded = false;
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
  onOrderlyEnd(from, () => {
    hasEnded = true;
    to.end();
  });
  from.on("error", () => {}); // `close` follows
  return new Promise((resolve) => {
    const onClose = () => {
      resolve();
      if (!hasEnded) cut(to);
      else if (to.writableFinished) to.destroy();
      else to.once("finish", () => to.destroy());
    };
    if (from.closed) onClose();
    else from.once("close", onClose);
  });
}
