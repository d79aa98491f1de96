import { Socket } from "node:net";
import type { Duplex } from "node:stream";

/** Written to find out whether a connection still stands: puts no byte on the wire, and fails after a reset. */
export const NOTHING = Buffer.alloc(0);

/**
 * Calls `listener` when the peer has ended its way in order. Of a reset that comes with bytes, or while some are unread,
 * Node tells an end too (libuv takes a short read with POLLHUP for one); then nothing is called, and `error` and `close`
 * follow. One whose own way has ended already can't be asked: its `end` is believed. So is that of a Unix socket, which
 * knows no reset, and refuses what is written also when its peer ended in order and is gone.
 */
export function onOrderlyEnd(stream: Duplex, listener: () => void): void {
  stream.once("end", () => {
    // By its own address: that of a peer which reset the connection is not known any more.
    if (!(stream instanceof Socket) || stream.localAddress === undefined || !stream.writable) return listener();
    stream.write(NOTHING, (error) => {
      if (error === null || error === undefined) listener();
    });
  });
}
