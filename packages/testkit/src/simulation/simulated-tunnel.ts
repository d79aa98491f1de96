import type { Duplex } from "node:stream";
import { cut } from "@hardshare/runtime/sockets";
import { pump } from "@hardshare/wire/ssh";
import { AppError, type TunnelTarget } from "@hardshare/protocol";
import { BackOff, Deferred, pause } from "@hardshare/runtime";
import { BOUND_WITHIN_MS, orAborted, TOLD_BROKEN_AFTER_MS, type Tunnel, type TunnelOptions } from "@hardshare/host/wiring";
import type { SimulatedNetwork } from "./simulated-network.ts";
import type { SimulatedProcess } from "./simulated-process.ts";
import { type StreamRequest, StreamTable } from "./stream-table.ts";

/** Fewer than the server asks for: what happens with several happens with two. */
const CONNECTIONS = 2;

/** A tunnel over the simulation's network, with the promises of the real one. */
export class SimulatedTunnel implements Tunnel {
  readonly #options: TunnelOptions & { publicKey: string };
  readonly #process: SimulatedProcess;
  readonly #network: SimulatedNetwork;
  readonly #known = new Deferred();
  readonly #bound = new Deferred();
  readonly #opened = new Deferred();
  readonly #stop = new AbortController();
  #dialling = new AbortController();
  #target: TunnelTarget | undefined;
  #standing = 0;

  constructor(options: TunnelOptions & { publicKey: string }, process: SimulatedProcess, network: SimulatedNetwork) {
    this.#options = options;
    this.#process = process;
    this.#network = network;
  }

  get bound(): Promise<void> {
    return this.#bound.promise;
  }

  setTarget(target: TunnelTarget | null): void {
    if (target === null || this.#stop.signal.aborted || JSON.stringify(target) === JSON.stringify(this.#target)) return;
    this.#target = target;
    this.#known.resolve();
    this.#dialling.abort();
    this.#dialling = new AbortController();
    for (let count = 0; count < CONNECTIONS; count += 1) void this.#keep(target, this.#dialling.signal);
  }

  open(): void {
    this.#opened.resolve();
  }

  async waitUntilBound(signal: AbortSignal): Promise<void> {
    await orAborted(this.#known.promise, signal);
    const late = new AbortController();
    using _timer = this.#process.clock.after(BOUND_WITHIN_MS, () => late.abort(new AppError("timed_out", "no tunnel to the hub")));
    await orAborted(this.#bound.promise, AbortSignal.any([signal, late.signal]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#dialling.abort();
  }

  async #keep(target: TunnelTarget, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#process;
    const backOff = new BackOff({ firstMs: 100, maxMs: 3000, random });
    while (!signal.aborted) {
      try {
        const socket = await this.#network.connect(this.#process, `${target.host}:${target.port}`, signal);
        await this.#forward(new StreamTable(socket, clock, "client"), target, signal);
      } catch {
        // dialled again
      }
      await pause(clock, backOff.nextMs(), signal);
    }
  }

  async #serve(request: StreamRequest, signal: AbortSignal): Promise<void> {
    let stream: Duplex;
    try {
      stream = await this.#options.dial(signal);
    } catch {
      return request.reject("the target does not answer");
    }
    try {
      await pump(request.accept(), stream);
    } catch {
      cut(stream);
    }
  }

  /** Logs in, forwards, and carries streams until the connection ends. */
  async #forward(table: StreamTable, target: TunnelTarget, signal: AbortSignal): Promise<void> {
    const stop = () => table.cut();
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    table.onRequest = (request) => void this.#serve(request, signal);
    table.send({ type: "login", username: target.username, key: this.#options.publicKey });
    await Promise.race([this.#opened.promise, table.closed]);
    let isBound = false;
    table.onFrame = (frame) => {
      if (frame.type !== "forwarded" || isBound) return;
      if (!frame.isAllowed) return table.cut();
      isBound = true;
      this.#standing += 1;
      this.#bound.resolve();
    };
    table.send({ type: "forward" });
    await table.closed;
    signal.removeEventListener("abort", stop);
    if (!isBound) return;
    this.#standing -= 1;
    if (this.#standing > 0 || signal.aborted) return;
    this.#process.clock.after(TOLD_BROKEN_AFTER_MS, () => {
      if (this.#standing === 0 && !this.#stop.signal.aborted) this.#options.onBroken(true);
    });
  }
}
