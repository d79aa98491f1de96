import type { Duplex } from "node:stream";
import { AppError, FORWARD_PORT, toAppError, type TunnelTarget } from "@hardshare/protocol";
import { cut } from "@hardshare/runtime/sockets";
import { STEADY_AFTER_MS } from "../channel/connect-channel.ts";
import type { ChannelClock, ChannelLogger } from "../channel/needs.ts";
import type { ChannelRequest } from "./channel-table.ts";
import { type ClientConnection, connectToHub } from "./client-connection.ts";
import { HOST_LIVENESS, watchLiveness } from "./liveness.ts";
import { pump } from "./pump.ts";

/** The first connection is made alone: it is what a launch waits for, and key exchanges at the same time delay each other. */
const OTHERS_AFTER_MS = 250;

export interface SshForwarderOptions {
  target: TunnelTarget;
  /** The host's identity key. */
  privateKey: string;
  /**
   * Connects to what the tunnel leads to; called for each stream before it is accepted. A socket should be made with
   * `allowHalfOpen`. The signal is aborted when the stream is no longer wanted.
   */
  dial(signal: AbortSignal): Promise<Duplex>;
  /** The hub is dialled at once, but asked for the forward only when this has settled; absent: at once. */
  mayForward?: Promise<void>;
  /** The first connection stands and its forward is bound; again after each `onLost`. */
  onBound(): void;
  /** No connection stands any more; all are being dialled again. */
  onLost(): void;
  /** An attempt failed, or a connection broke; the next attempt follows by itself. */
  onError(error: AppError): void;
  /** Delays between attempts, made anew for each connection; the first should be at most 100 ms, the longest 3 s, so that a restarted hub is found within 5 s. */
  newBackOff(): { nextMs(): number; reset(): void };
  clock: ChannelClock;
  logger: ChannelLogger;
  signal?: AbortSignal;
}

/**
 * The host's end of a tunnel: keeps `target.connections` SSH connections to the hub, each with the same forward, and
 * carries the streams that come in. Disposing it, or aborting the signal, cuts everything at once.
 */
export class SshForwarder implements AsyncDisposable {
  readonly #options: SshForwarderOptions;
  readonly #stop = new AbortController();
  readonly #ended: Promise<unknown>;
  #bound = 0;

  constructor(options: SshForwarderOptions) {
    this.#options = options;
    const stop = () => this.#stop.abort();
    options.signal?.addEventListener("abort", stop, { once: true, signal: this.#stop.signal });
    if (options.signal?.aborted) stop();
    const others = Array.from({ length: options.target.connections - 1 }, async () => {
      await pause(options.clock, OTHERS_AFTER_MS, this.#stop.signal);
      await this.#keepConnected();
    });
    this.#ended = Promise.all([this.#keepConnected(), ...others]);
  }

  /** How many connections stand. */
  get boundConnections(): number {
    return this.#bound;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }

  async #keepConnected(): Promise<void> {
    const backOff = this.#options.newBackOff();
    while (!this.#stop.signal.aborted) {
      try {
        const error = await this.#forwardUntilClosed(() => backOff.reset());
        if (!this.#stop.signal.aborted) this.#options.onError(error);
      } catch (error) {
        if (!this.#stop.signal.aborted) this.#options.onError(toAppError(error));
      }
      if (this.#stop.signal.aborted) return;
      await pause(this.#options.clock, backOff.nextMs(), this.#stop.signal);
    }
  }

  async #forwardUntilClosed(onSteady: () => void): Promise<AppError> {
    const { target, privateKey, clock } = this.#options;
    const ended = new AbortController();
    const connection = await connectToHub(
      { ...target, privateKey },
      { signal: this.#stop.signal, onRequest: (request) => void this.#accept(request, ended.signal), clock },
    );
    const closed = new Promise<void>((resolve) => connection.socket.once("close", () => resolve()));
    void closed.then(() => ended.abort());
    // The hub pings, so something comes at least that often.
    watchLiveness(connection.socket, clock, { ...HOST_LIVENESS, misses: HOST_LIVENESS.misses + 1 });
    await Promise.race([this.#options.mayForward, closed]);
    await this.#bind(connection);
    using _steady = clock.after(STEADY_AFTER_MS, onSteady);
    this.#bound += 1;
    if (this.#bound === 1) this.#options.onBound();
    const reason = await connection.closed;
    this.#bound -= 1;
    if (this.#bound === 0 && !this.#stop.signal.aborted) this.#options.onLost();
    return reason;
  }

  async #bind(connection: ClientConnection): Promise<void> {
    try {
      await connection.forward("", FORWARD_PORT);
    } catch (error) {
      connection.socket.destroy();
      throw error;
    }
  }

  /** Dials first, so that an open channel means an open connection. */
  async #accept(request: ChannelRequest, signal: AbortSignal): Promise<void> {
    if (request.host !== "" || request.port !== FORWARD_PORT) return request.reject("prohibited", "this port was not forwarded");
    let stream: Duplex;
    try {
      stream = await this.#options.dial(signal);
    } catch (error) {
      const { message } = toAppError(error);
      this.#options.logger.warn("a stream was refused: its target does not answer", { error: message });
      return request.reject("connect_failed", "the target does not answer");
    }
    try {
      await pump(request.accept(), stream);
    } catch {
      cut(stream); // the connection ended while the target was dialled
    }
  }
}

function pause(clock: ChannelClock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = () => {
      timer[Symbol.dispose]();
      signal.removeEventListener("abort", finish);
      resolve();
    };
    const timer = clock.after(delayMs, finish);
    signal.addEventListener("abort", finish, { once: true });
    if (signal.aborted) finish();
  });
}
