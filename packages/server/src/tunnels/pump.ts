import type { Clock } from "@hardshare/runtime";
import type { Duplex } from "node:stream";
import { WebSocket } from "ws";

/** Bytes that may wait towards a user who does not read; then reading from the instance stops. */
export const MAX_TUNNEL_BUFFER_BYTES = 256 * 1024;
/** Chunks that may wait towards the user, however small: a chunk of one byte takes hundreds of bytes of memory. */
const MAX_WAITING_CHUNKS = 256;
/** When the instance's side has ended, or the user's has closed, the other direction has so long to come to its end. */
export const DRAIN_MS = 10_000;

/**
 * Carries bytes between a WebSocket (binary frames) and a stream, both ways, with back-pressure both ways: what either
 * side does not read stays with the other. An end of one direction is told by an empty frame, and the other one goes on
 * (protocol's `tunnelPath`).
 */
export function pumpTunnel(socket: WebSocket, stream: Duplex, clock: Clock): void {
  let hasEnded = false;
  let drain: Disposable | undefined;
  let waitingChunks = 0;
  const close = () => socket.close(1000, "the other end closed");
  const closeIfBothEnded = () => {
    if (stream.readableEnded && stream.writableFinished) close();
  };
  const isFull = () => socket.bufferedAmount > MAX_TUNNEL_BUFFER_BYTES / 2 || waitingChunks >= MAX_WAITING_CHUNKS;
  socket.on("message", (data, isBinary) => {
    if (!isBinary) return socket.close(1003, "binary frames only");
    if ((data as Buffer).length === 0) {
      hasEnded = true;
      return void stream.end(); // the user sends no more, but still reads
    }
    if (!stream.writable || stream.write(data) || socket.isPaused) return;
    socket.pause(); // the frames of what was read already (64 KiB) come all the same
    stream.once("drain", () => socket.resume());
  });
  stream.on("data", (chunk: Buffer) => {
    if (socket.readyState !== WebSocket.OPEN) return;
    waitingChunks += 1;
    socket.send(chunk, { binary: true }, () => {
      waitingChunks -= 1;
      if (stream.isPaused() && !isFull()) stream.resume();
    });
    if (isFull()) stream.pause();
  });
  stream.on("end", () => {
    if (socket.readyState !== WebSocket.OPEN) return;
    socket.send(Buffer.alloc(0), { binary: true });
    drain = clock.after(DRAIN_MS, close);
    closeIfBothEnded();
  });
  stream.on("finish", closeIfBothEnded);
  stream.on("error", () => socket.close(1011, "connection to the instance lost"));
  stream.on("close", () => {
    socket.resume(); // so that the answer to the close is read
    close();
  });
  socket.on("error", () => stream.destroy());
  socket.on("close", () => {
    drain?.[Symbol.dispose]();
    if (!hasEnded) return void stream.destroy(); // torn: the instance must not take it for the whole
    stream.resume(); // nobody reads any more: let it run out instead of holding its window
  });
}
