import { Socket } from "node:net";
import type { Duplex } from "node:stream";

/** Written to find out whether a connection still stands: puts no byte on the wire, and fails after a reset. */
export const NOTHING = Buffer.alloc(0);

/**
 * Calls `listener` when the peer has ended its way in order. Of a reset that comes with bytes, or while some are unread,
 * Node tells an end too (libuv takes a short read with POLLHUP for one); then nothing is called, and `error` and `close`
 * follow. One whose own way has ended already can't be asked: its `end` is believed.
 */
export function onOrderlyEnd(stream: Duplex, listener: () => void): void {
  stream.once("end", () => {
    if (!(stream instanceof Socket) || !stream.writable) return listener();
    stream.write(NOTHING, (error) => {
      if (error === null || error === undefined) listener();
    });
  });
}
