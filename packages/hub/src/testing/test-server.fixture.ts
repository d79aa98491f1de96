import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { HubHello, type HubDesired, HubToServer, type NewHub } from "@hardshare/protocol";
import { systemClock, systemRandom } from "@hardshare/runtime";
import { acceptChannel, type FrameChannel } from "@hardshare/wire";
import { wrapWebSocket } from "@hardshare/wire/node";
import { generateIdentity, sameKey, signWith, verifyWith } from "@hardshare/wire/ssh";
import { WebSocketServer } from "ws";
import type * as z from "zod";

/** What a hub sees of the server: registration, and the channel with its handshake. */
export class TestServer implements AsyncDisposable {
  readonly identity = generateIdentity("server");
  readonly id = systemRandom.uuid();
  /** Bodies and tokens of the registrations. */
  readonly registrations: { body: z.infer<typeof NewHub>; token: string }[] = [];
  /** One for each connection of the hub's channel. */
  readonly hellos: HubHello[] = [];
  readonly messages: HubToServer[] = [];
  /** What is answered to a registration instead, if anything. */
  refusal: { status: number; body: unknown } | undefined;
  /** Called when the hub has said hello; it is welcome when this settles. */
  admit: (hello: HubHello) => Promise<void> = async () => {};
  readonly #http: Server;
  readonly #sockets = new WebSocketServer({ noServer: true });
  #channel: FrameChannel<HubToServer, unknown> | undefined;

  private constructor() {
    this.#http = createServer((request, response) => {
      void (async () => {
        let text = "";
        for await (const chunk of request) text += String(chunk);
        const token = (request.headers.authorization ?? "").replace("Bearer ", "");
        this.registrations.push({ body: JSON.parse(text) as z.infer<typeof NewHub>, token });
        response.writeHead(this.refusal?.status ?? 200, { "content-type": "application/json" });
        response.end(JSON.stringify(this.refusal?.body ?? { id: this.id, serverKey: this.identity.publicKey }));
      })();
    });
    this.#http.on("upgrade", (request, socket, head) => {
      this.#sockets.handleUpgrade(request, socket, head, (webSocket) => void this.#accept(wrapWebSocket(webSocket)).catch(() => {}));
    });
  }

  static async start(): Promise<TestServer> {
    const server = new TestServer();
    await server.listen(0);
    return server;
  }

  get port(): number {
    return (this.#http.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async listen(port: number): Promise<void> {
    await once(this.#http.listen(port, "127.0.0.1"), "listening");
  }

  send(desired: HubDesired): void {
    this.#channel?.send(desired);
  }

  /** Ends the hub's channel, and takes no new one until `listen`. */
  async goAway(): Promise<void> {
    const closed = once(this.#http, "close");
    this.#http.close();
    this.#channel?.close("away");
    for (const socket of this.#sockets.clients) socket.terminate();
    this.#http.closeAllConnections();
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#http.listening) await this.goAway();
  }

  async #accept(socket: ReturnType<typeof wrapWebSocket>): Promise<void> {
    const { hello, channel } = await acceptChannel<HubHello, HubToServer, unknown>({
      socket,
      role: "hub",
      hello: HubHello,
      receive: HubToServer,
      ...this.identity,
      lookUpKey: async () => this.registrations[0]?.body.key,
      admit: (hello) => this.admit(hello),
      now: () => new Date(systemClock.now()),
      crypto: { sign: signWith, verify: verifyWith, sameKey },
      clock: systemClock,
      random: systemRandom,
    });
    this.#channel = channel;
    this.hellos.push(hello);
    this.#channel.handle((message) => void this.messages.push(message));
  }
}
