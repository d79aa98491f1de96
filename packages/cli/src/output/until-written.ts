import type { Writable } from "node:stream";

/** Settles when all that was written has been taken, or nobody takes it any more: into a pipe Node writes in the background. */
export function untilWritten(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed || stream.writableLength === 0) return resolve();
    stream.once("close", resolve);
    stream.write("", () => resolve());
  });
}
