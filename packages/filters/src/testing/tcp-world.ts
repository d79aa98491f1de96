import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { type Clock, silentLogger, systemClock } from "@hardshare/runtime";
import type { Judgement, RunningFilter } from "../run/filter-kind.ts";
import { parseTcpRules } from "../rules/tcp-rules.ts";
import { startTcpFilter } from "../tcp/tcp-filter.ts";
import { makeLimits } from "./filter-world.ts";
import { RawClient } from "./raw-client.ts";

/** For tests: a `tcp` filter before a device of the test's own. */
export class TcpWorld implements AsyncDisposable {
  readonly decisions: Judgement[] = [];
  readonly #clock: Clock;
  readonly #device: Server;
  readonly #sockets = new Set<Socket>();
  readonly #rules: { current: ReturnType<typeof parseTcpRules>; reload(): Promise<void> };
  #waiting: (() => void)[] = [];
  #filter: RunningFilter | undefined;

  private constructor(rules: string, clock: Clock, serve: (socket: Socket) => void) {
    this.#clock = clock;
    this.#rules = { current: parseTcpRules(rules, "test.yaml", makeLimits(clock)), reload: async () => {} };
    this.#device = createServer({ allowHalfOpen: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      serve(socket);
    });
  }

  /**
   * @param rules text of a rules file
   * @param serve what the device does with a connection; else it says what it hears
   */
  static async start(rules: string, { serve = echo, clock = systemClock }: { serve?: (socket: Socket) => void; clock?: Clock } = {}) {
    const world = new TcpWorld(rules, clock, serve);
    await once(world.#device.listen(0, "127.0.0.1"), "listening");
    world.#filter = await startTcpFilter({
      host: "127.0.0.1",
      port: 0,
      device: { host: "127.0.0.1", port: (world.#device.address() as AddressInfo).port },
      rules: world.#rules,
      onDecision: (judgement) => {
        world.decisions.push(judgement);
        for (const look of world.#waiting.splice(0)) look();
      },
      clock,
      logger: silentLogger,
    });
    return world;
  }

  /** How many connections the device has had. */
  get count(): number {
    return this.#sockets.size;
  }

  connect(): RawClient {
    return new RawClient(this.#filter?.address ?? "");
  }

  /** The first decision that fits, as soon as it is told. */
  async decided(fits: (judgement: Judgement) => boolean): Promise<Judgement> {
    for (;;) {
      const found = this.decisions.find(fits);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  async cutAll(): Promise<void> {
    await this.#filter?.cutAll();
  }

  /** Puts other rules in force. */
  reload(rules: string): void {
    this.#rules.current = parseTcpRules(rules, "test.yaml", makeLimits(this.#clock));
    this.#filter?.judgeAgain?.();
  }

  /** The device is switched off. */
  async switchOff(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#device.close();
    await once(this.#device, "close");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#filter?.[Symbol.asyncDispose]();
    if (this.#device.listening) await this.switchOff();
  }
}

function echo(socket: Socket): void {
  socket.pipe(socket);
}
