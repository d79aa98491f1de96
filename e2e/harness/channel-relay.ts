import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocket, WebSocketServer } from "ws";

type Fields = Record<string, unknown>;

/** Changes messages of the handshake on their way, so that an end seems to be of another version. */
export interface Disguise {
  challenge?: Fields;
  hello?: Fields;
}

/** Stands between a host and its server, on a channel that it can read and change, as far as signatures let it. */
export class ChannelRelay implements AsyncDisposable {
  readonly url: string;
  /** For connections from now on. */
  disguise: Disguise = {};
  readonly #sockets: WebSocketServer;
  readonly #server: string;

  private constructor(sockets: WebSocketServer, server: string) {
    this.#sockets = sockets;
    this.#server = server;
    this.url = `http://127.0.0.1:${(sockets.address() as AddressInfo).port}`;
    sockets.on("connection", (peer, request) => this.#join(peer, request));
  }

  /** @param server address of the server, `http://…` */
  static async open(server: string): Promise<ChannelRelay> {
    const sockets = new WebSocketServer({ host: "127.0.0.1", port: 0 });
    await once(sockets, "listening");
    return new ChannelRelay(sockets, server);
  }

  #join(peer: WebSocket, request: IncomingMessage): void {
    const { disguise } = this;
    const server = new WebSocket(`${this.#server.replace(/^http/, "ws")}${request.url}`);
    const carry = (from: WebSocket, to: WebSocket, type: "challenge" | "hello") => {
      from.on("message", (data: Buffer) => {
        const message = JSON.parse(data.toString()) as Fields;
        to.send(JSON.stringify(message["type"] === type ? { ...message, ...disguise[type] } : message));
      });
      from.on("close", () => to.close());
      from.on("error", () => to.terminate());
    };
    carry(server, peer, "challenge");
    carry(peer, server, "hello");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#sockets.clients) client.terminate();
    this.#sockets.close();
    await once(this.#sockets, "close");
  }
}
