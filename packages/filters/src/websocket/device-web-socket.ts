import type { Duplex } from "node:stream";
import type { Socket } from "node:net";
import { cut, onOrderlyEnd } from "@hardshare/runtime/sockets";
import { type ClientOptions, WebSocket } from "ws";

/** A WebSocket to a device. */
export class DeviceWebSocket extends WebSocket {
  #stream: Socket | undefined;

  constructor(url: string, protocols: readonly string[], options: ClientOptions) {
    super(url, [...protocols], options);
    this.once("upgrade", ({ socket }) => (this.#stream = socket));
  }

  /** Ends it at once, with a reset: what the device has not yet taken is dropped, also by the kernel. */
  reset(): void {
    if (this.#stream !== undefined) cut(this.#stream);
    this.terminate();
  }

  /** It is reset when its client is: so the host cuts connections, when nothing more may pass. */
  followReset(client: Duplex): void {
    client.on("error", ({ code }: NodeJS.ErrnoException) => {
      if (code === "ECONNRESET") this.reset();
    });
    onOrderlyEnd(client, () => {}); // asks whether an end is one, before the library ends it for its part
  }
}
