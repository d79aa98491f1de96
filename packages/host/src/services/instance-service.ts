import { connect, type Socket } from "node:net";
import { AppError } from "@hardshare/protocol";
import { BackOff, type Random } from "@hardshare/runtime";
import { Supervised } from "../programs/supervised.ts";
import { type ServiceProgram, startServiceProgram, type StartServiceOptions } from "./service-program.ts";

/** Connections to one service at the same time; more are refused. */
const MAX_CONNECTIONS = 256;
/** Longest time for a connection to a service, which runs on this computer. */
const DIAL_WITHIN_MS = 5000;
const RESTART_FIRST_MS = 200;
const RESTART_MAX_MS = 10_000;

export interface InstanceServiceOptions extends Omit<StartServiceOptions, "signal"> {
  random: Random;
  /** Its program ended by itself: its connections are cut already. */
  onLost: (how: string) => void;
  onRestored: () => void;
}

/**
 * A service of one instance: its program, kept running, and the connections to it. When the program ends, its
 * connections are cut at once and nothing passes until it runs again.
 */
export class InstanceService implements AsyncDisposable {
  readonly name: string;
  readonly #sockets = new Set<Socket>();
  #program: Supervised<ServiceProgram> | undefined;
  #isClosed = false;

  private constructor(name: string) {
    this.name = name;
  }

  /** @throws AppError `program_failed`, `cancelled` */
  static async start(options: InstanceServiceOptions, signal: AbortSignal): Promise<InstanceService> {
    const service = new InstanceService(options.name);
    service.#program = await Supervised.start(
      {
        start: (signal) => startServiceProgram({ ...options, signal }),
        backOff: new BackOff({ firstMs: RESTART_FIRST_MS, maxMs: RESTART_MAX_MS, random: options.random }),
        clock: options.clock,
        onLost: (how) => {
          service.#cut();
          options.onLost(how);
        },
        onRestored: options.onRestored,
      },
      signal,
    );
    return service;
  }

  /** A connection to the service. @throws AppError `connection_lost` when it does not run or does not accept */
  async dial(): Promise<Socket> {
    const program = this.#program?.current;
    if (this.#isClosed || program === undefined) throw new AppError("connection_lost", `service ${this.name} does not run`);
    if (this.#sockets.size >= MAX_CONNECTIONS) throw new AppError("connection_lost", `service ${this.name} has too many connections`);
    const socket = connect({ ...program.address, allowHalfOpen: true, noDelay: true });
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    try {
      await connected(socket, DIAL_WITHIN_MS);
    } catch (cause) {
      socket.on("error", () => {});
      socket.destroy();
      throw new AppError("connection_lost", `service ${this.name} does not accept connections: ${(cause as Error).message}`, { cause });
    }
    return socket;
  }

  /** Cuts all connections, and makes no more: nothing passes from now on. */
  cut(): void {
    this.#isClosed = true;
    this.#cut();
  }

  /** Cuts it, then ends the program. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await this.#program?.[Symbol.asyncDispose]();
  }

  #cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Settles when a socket is connected. (A signal with a timeout takes as long as connecting does, and this is on the way of each new stream.) */
function connected(socket: Socket, withinMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => socket.destroy(new Error(`no answer within ${withinMs / 1000} s`)), withinMs);
    const settle = () => {
      clearTimeout(timer);
      socket.off("error", reject);
    };
    socket.once("error", reject);
    // A socket that is cut while it connects closes without an error.
    socket.once("close", () => {
      settle();
      reject(new Error("the connection was closed"));
    });
    socket.once("connect", () => {
      settle();
      resolve();
    });
  });
}
