import type { Duplex } from "node:stream";
import { WebSocket } from "ws";

/** Bytes that may wait towards a user who does not read; then reading from the instance stops. */
export const MAX_TUNNEL_BUFFER_BYTES = 256 * 1024;

/**
 * Carries bytes between a WebSocket (binary frames) and a stream, both ways, with back-pressure both ways: what either
 * side does not read stays with the other. The end of one ends the other after what was under way.
 */
export function pumpTunnel(socket: WebSocket, stream: Duplex): void {
  socket.on("message", (data, isBinary) => {
    if (!isBinary) return socket.close(1003, "binary frames only");
    if ((data as Buffer).length === 0) return void stream.end(); // the user sends no more, but still reads
    if (!stream.writable || stream.write(data) || socket.isPaused) return;
    socket.pause();
    stream.once("drain", () => socket.resume());
  });
  stream.on("data", (chunk: Buffer) => {
    if (socket.readyState !== WebSocket.OPEN) return;
    socket.send(chunk, { binary: true }, () => {
      if (stream.isPaused() && socket.bufferedAmount <= MAX_TUNNEL_BUFFER_BYTES / 2) stream.resume();
    });
    if (socket.bufferedAmount > MAX_TUNNEL_BUFFER_BYTES / 2) stream.pause();
  });
  stream.on("end", () => socket.close(1000, "the other end closed"));
  stream.on("error", () => socket.close(1011, "connection to the instance lost"));
  stream.on("close", () => {
    socket.resume(); // so that the answer to the close is read
    socket.close(1000, "the other end closed");
  });
  socket.on("error", () => stream.destroy());
  socket.on("close", () => {
    stream.end();
    stream.resume(); // nobody reads any more: let it run out instead of holding its window
  });
}
