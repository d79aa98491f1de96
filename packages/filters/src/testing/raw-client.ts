import { connect, type Socket } from "node:net";

/** For tests: a raw client. */
export class RawClient implements Disposable {
  readonly socket: Socket;
  /** Settles when the connection has closed, with all that came. */
  readonly ended: Promise<string>;
  #received = "";
  #waiting: { until: (received: string) => boolean; resolve: (received: string) => void; reject: (error: Error) => void }[] = [];

  constructor(address: string) {
    const at = address.lastIndexOf(":");
    this.socket = connect({ host: address.slice(0, at), port: Number(address.slice(at + 1)), noDelay: true });
    this.socket.on("error", () => {});
    this.socket.on("data", (chunk: Buffer) => {
      this.#received += chunk.toString("latin1");
      this.#settle();
    });
    this.ended = new Promise((resolve) => {
      this.socket.once("close", () => {
        resolve(this.#received);
        for (const { reject } of this.#waiting) reject(new Error(`the connection closed after: ${this.#received}`));
      });
    });
  }

  /** Writes the bytes; a character is a byte. Resolves when they have been handed to the system. */
  async send(bytes: string): Promise<void> {
    await new Promise<void>((resolve) => this.socket.write(Buffer.from(bytes, "latin1"), () => resolve()));
  }

  /** All that came, as soon as it contains `part` so many times; rejects when the connection closes before. */
  receive(part: string, times = 1): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ until: (received) => received.split(part).length > times, resolve, reject });
      this.#settle();
    });
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  #settle(): void {
    this.#waiting = this.#waiting.filter(({ until, resolve }) => {
      if (!until(this.#received)) return true;
      resolve(this.#received);
      return false;
    });
  }
}
