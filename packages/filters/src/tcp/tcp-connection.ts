import { connect, type Socket } from "node:net";
import type { Clock } from "@hardshare/runtime";
import type { DeviceAddress } from "../run/device-address.ts";
import { cut } from "@hardshare/runtime/sockets";
import { OneWay } from "./one-way.ts";
import type { Pacer } from "./pacer.ts";

/** How long a device may take to accept a connection. */
const CONNECT_TIMEOUT_MS = 5000;
/** Silence after which TCP asks whether the device is still there: one that was switched off does not say so. */
const KEEP_ALIVE_MS = 30_000;

/** What holds for a connection now; it changes when rules are read again. */
export interface ConnectionBounds {
  /** The rule that let it through, or `default`. */
  readonly rule: string;
  readonly idleMs: number | undefined;
  readonly pacers: { readonly in: Pacer | undefined; readonly out: Pacer | undefined };
}

interface TcpConnectionOptions {
  readonly client: Socket;
  readonly device: DeviceAddress;
  readonly bounds: ConnectionBounds;
  readonly clock: Clock;
  /** It is ended by the filter, or by a device that is away: why. */
  readonly onRefused: (because: string) => void;
  readonly onClosed: () => void;
}

/** One connection that was let through, and its own connection to the device. A break of one cuts the other, with a reset. */
export class TcpConnection {
  readonly #options: TcpConnectionOptions;
  readonly #device: Socket;
  readonly #ways: readonly [OneWay, OneWay];
  #bounds: ConnectionBounds;
  #lastMs: number;
  #idle: Disposable | undefined;

  constructor(options: TcpConnectionOptions) {
    this.#options = options;
    this.#bounds = options.bounds;
    const { client, clock } = options;
    const device = connect({
      ...options.device,
      noDelay: true,
      allowHalfOpen: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
    });
    this.#device = device;
    this.#lastMs = clock.monotonicMs();
    let isConnected = false;
    const connecting = clock.after(CONNECT_TIMEOUT_MS, () => device.destroy(new Error(`no answer within ${CONNECT_TIMEOUT_MS / 1000} s`)));
    device.on("error", (error: NodeJS.ErrnoException) => {
      if (isConnected) return; // "close" follows
      options.onRefused(`the device can't be reached: ${error.message === "" ? (error.code ?? "") : error.message}`);
    });
    device.once("connect", () => {
      isConnected = true;
      connecting[Symbol.dispose]();
      client.resume();
      this.#watchIdle();
    });
    const onBytes = () => void (this.#lastMs = clock.monotonicMs());
    this.#ways = [
      new OneWay({ from: client, to: device, clock, onBytes, pacer: () => this.#bounds.pacers.in }),
      new OneWay({ from: device, to: client, clock, onBytes, pacer: () => this.#bounds.pacers.out }),
    ];
    client.pause(); // until the device is there
    const [inwards, outwards] = this.#ways;
    for (const [socket, other, way] of [
      [client, device, inwards],
      [device, client, outwards],
    ] as const) {
      socket.once("close", () => {
        connecting[Symbol.dispose]();
        if (!way.isWhole) cut(other);
        if (client.destroyed && device.destroyed) this.#close();
      });
    }
  }

  get rule(): string {
    return this.#bounds.rule;
  }

  /** From now on other bounds hold. */
  rebind(bounds: ConnectionBounds): void {
    this.#bounds = bounds;
    this.#watchIdle();
  }

  /** Ends it, and says why. */
  refuse(because: string): void {
    this.#options.onRefused(because);
    this.drop();
  }

  /** Cuts both sides. */
  drop(): void {
    cut(this.#options.client);
    cut(this.#device);
  }

  #watchIdle(): void {
    this.#idle?.[Symbol.dispose]();
    this.#idle = undefined;
    const { idleMs } = this.#bounds;
    if (idleMs === undefined || this.#device.connecting || this.#device.destroyed) return;
    const leftMs = this.#lastMs + idleMs - this.#options.clock.monotonicMs();
    if (leftMs <= 0) this.refuse(`it carried nothing for ${idleMs / 1000} s`);
    else this.#idle = this.#options.clock.after(leftMs, () => this.#watchIdle());
  }

  #close(): void {
    this.#idle?.[Symbol.dispose]();
    for (const way of this.#ways) way[Symbol.dispose]();
    this.#options.onClosed();
  }
}
