import { once } from "node:events";
import { type FSWatcher, watch } from "node:fs";
import { connect } from "node:net";
import { basename, dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { orAborted } from "./call-limits.ts";

/** Milliseconds between two tries to connect: a program's bind and listen are two calls, microseconds apart. */
const LISTEN_GAP_MS = 2;

/** Watches, from its creation on, for a Unix socket to appear in its folder. */
export class SocketAppearance implements Disposable {
  readonly #socketPath: string;
  readonly #watcher: FSWatcher;
  readonly #appeared: Promise<void>;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
    this.#watcher = watch(dirname(socketPath));
    this.#appeared = new Promise((resolve, reject) => {
      this.#watcher.on("change", (_event, filename) => {
        if (filename === basename(socketPath)) resolve();
      });
      this.#watcher.once("error", reject);
    });
    this.#appeared.catch(() => {}); // seen by `untilListening`
  }

  /** Resolves when a connection to the socket succeeds. */
  async untilListening(signal: AbortSignal): Promise<void> {
    await orAborted(this.#appeared, signal);
    while (!(await acceptsConnections(this.#socketPath))) await delay(LISTEN_GAP_MS, undefined, { signal });
  }

  [Symbol.dispose](): void {
    this.#watcher.close();
  }
}

/** Whether a program listens on a Unix socket. */
export async function acceptsConnections(socketPath: string): Promise<boolean> {
  const socket = connect(socketPath);
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
