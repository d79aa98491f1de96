import type { Socket } from "node:net";

/** Disposes what a connection holds when it closes; at once when it has closed already, which is told no more. */
export function disposeOnClose(socket: Socket, held: Disposable): void {
  if (socket.destroyed) held[Symbol.dispose]();
  else socket.once("close", () => held[Symbol.dispose]());
}
