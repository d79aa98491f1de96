import { Socket } from "node:net";
import type { Duplex } from "node:stream";

/**
 * Carries bytes both ways between two streams until both are closed; never rejects. The end of one way ends that way
 * only. An error, or a close without an end, cuts the other stream too (a TCP connection with a reset, so that its
 * peer can't take a torn stream for a whole one). One chunk is under way in each direction at any time: the next is
 * read when the other stream has taken it. There is no timeout: a silent connection stays.
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
  from.on("data", (chunk: Buffer) => {
    from.pause();
    to.write(chunk, (error) => {
      if (!error) from.resume();
    });
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
