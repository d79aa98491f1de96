import type { Socket } from "node:net";
import { NOTHING } from "./orderly-end.ts";

/** How often sockets that read nothing are looked at. */
const LOOK_EVERY_MS = 500;

/**
 * Notices within half a second that a peer reset a socket that reads nothing: one that is paused, because what it sends is
 * not taken, or whose peer has ended its own way. Nothing tells of it (libuv watches for no event then), and its place and
 * what it sent would be kept for as long as nobody takes that. Then it has `error` and `close` like any other.
 */
export class ResetWatch implements Disposable {
  readonly #sockets = new Set<Socket>();
  #timer: NodeJS.Timeout | undefined;

  add(socket: Socket): void {
    if (socket.destroyed) return;
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    this.#lookLater();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#sockets.clear();
  }

  #lookLater(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      for (const socket of this.#sockets) if (hearsNothing(socket)) socket.write(NOTHING);
      if (this.#sockets.size > 0) this.#lookLater();
    }, LOOK_EVERY_MS).unref();
  }
}

/** While bytes wait to be written, an error shows by them. */
function hearsNothing(socket: Socket): boolean {
  const isDeaf = socket.isPaused() || socket.readableEnded;
  return isDeaf && socket.writable && socket.writableLength === 0 && !socket.connecting;
}
