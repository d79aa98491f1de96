import type { TapLog } from "./tap-log.ts";
import type { OnChunk } from "./tapped-socket.ts";

/** Where copies of a service's connections go: to its log, and to whoever else looks. */
export class ServiceTap implements AsyncDisposable {
  readonly #log: TapLog;
  readonly #onChunk: OnChunk;
  #connections = 0;

  constructor(options: { log: TapLog; onChunk: OnChunk }) {
    this.#log = options.log;
    this.#onChunk = options.onChunk;
  }

  /** Takes the copy of one more connection. */
  connection(): OnChunk {
    const connection = ++this.#connections;
    return (direction, chunk) => {
      this.#log.add(direction, connection, chunk);
      this.#onChunk(direction, chunk);
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#log[Symbol.asyncDispose]();
  }
}
