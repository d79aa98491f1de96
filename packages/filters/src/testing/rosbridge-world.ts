import { once } from "node:events";
import type { AddressInfo, Socket } from "node:net";
import { silentLogger, systemClock, systemRandom } from "@hardshare/runtime";
import { WebSocket, WebSocketServer } from "ws";
import { startRosbridgeFilter } from "../rosbridge/rosbridge-filter.ts";
import { type CompiledRosbridgeRules, parseRosbridgeRules } from "../rules/rosbridge-rules.ts";
import type { Judgement, RunningFilter } from "../run/filter-kind.ts";
import { makeLimits } from "./filter-world.ts";

/** For tests: one end of a WebSocket that keeps what it got until that is asked for. */
export class SocketEnd {
  readonly socket: WebSocket;
  readonly closed: Promise<number>;
  /** What carries it, of a client. */
  readonly stream: Promise<Socket>;
  #texts: string[] = [];
  #waiting: ((text: string) => void)[] = [];

  constructor(socket: WebSocket) {
    this.socket = socket;
    this.closed = once(socket, "close").then(([code]) => Number(code));
    this.stream = new Promise((resolve) => socket.once("upgrade", (answer) => resolve(answer.socket)));
    socket.on("error", () => {}); // "close" follows
    socket.on("message", (data: Buffer) => {
      const text = data.toString("utf8");
      const take = this.#waiting.shift();
      if (take === undefined) this.#texts.push(text);
      else take(text);
    });
  }

  /** The next message, as JSON. */
  async next(): Promise<Record<string, unknown>> {
    const text = this.#texts.shift() ?? (await new Promise<string>((resolve) => this.#waiting.push(resolve)));
    return JSON.parse(text) as Record<string, unknown>;
  }

  send(message: unknown): void {
    this.socket.send(typeof message === "string" || Buffer.isBuffer(message) ? message : JSON.stringify(message));
  }
}

/** For tests: a `rosbridge` filter before a device that does nothing by itself. */
export class RosbridgeWorld implements AsyncDisposable {
  readonly decisions: Judgement[] = [];
  readonly #device: WebSocketServer;
  readonly #rules: { current: CompiledRosbridgeRules; reload(): Promise<void> };
  #filter: RunningFilter | undefined;
  readonly #ends: SocketEnd[] = [];

  private constructor(device: WebSocketServer, rules: CompiledRosbridgeRules) {
    this.#device = device;
    this.#rules = { current: rules, reload: async () => {} };
  }

  /** @param rules text of a rules file */
  static async start(rules: string): Promise<RosbridgeWorld> {
    const device = new WebSocketServer({ host: "127.0.0.1", port: 0 });
    await once(device, "listening");
    const world = new RosbridgeWorld(device, parseRosbridgeRules(rules, "test.yaml", makeLimits()));
    world.#filter = await startRosbridgeFilter({
      host: "127.0.0.1",
      port: 0,
      device: { host: "127.0.0.1", port: (device.address() as AddressInfo).port },
      rules: world.#rules,
      onDecision: (judgement) => world.decisions.push(judgement),
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
    });
    return world;
  }

  get address(): string {
    return this.#filter?.address ?? "";
  }

  /** A client, and the device's end of its connection. */
  async connect(): Promise<{ client: SocketEnd; device: SocketEnd }> {
    const accepted = once(this.#device, "connection").then(([socket]) => new SocketEnd(socket as WebSocket));
    const socket = new WebSocket(`ws://${this.address}`);
    const client = new SocketEnd(socket);
    await once(socket, "open");
    const device = await accepted;
    this.#ends.push(client, device);
    return { client, device };
  }

  async cutAll(): Promise<void> {
    await this.#filter?.cutAll();
  }

  /** Puts other rules in force. */
  reload(rules: string): void {
    this.#rules.current = parseRosbridgeRules(rules, "test.yaml", makeLimits());
  }

  /** The device is there no longer. */
  async switchOff(): Promise<void> {
    for (const client of this.#device.clients) client.terminate();
    await new Promise<void>((resolve) => this.#device.close(() => resolve()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { socket } of this.#ends) socket.terminate();
    await this.#filter?.[Symbol.asyncDispose]();
    await this.switchOff();
  }
}
