import { Deferred } from "@hardshare/runtime";
import type { Probe } from "@hardshare/protocol";
import type { Tunnel, TunnelOptions } from "../tunnels/tunnel.ts";

/**
 * In place of the tunnel of a trial, which nobody reaches from outside: connects once to what a tunnel would lead to, as
 * the hub does before an instance is ready, and closes that at once.
 */
export class TrialTunnel implements Tunnel {
  readonly #dial: TunnelOptions["dial"];
  readonly #probe: Probe;
  readonly #bound = new Deferred();

  constructor({ dial }: TunnelOptions, probe: Probe) {
    this.#dial = dial;
    this.#probe = probe;
  }

  get bound(): Promise<void> {
    return this.#bound.promise;
  }

  setTarget(): void {}

  open(): void {}

  /** @throws AppError as `TunnelOptions.dial` */
  async waitUntilBound(signal: AbortSignal): Promise<void> {
    if (this.#probe !== "none") {
      const stream = await this.#dial(signal);
      stream.on("error", () => {}).destroy();
    }
    this.#bound.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
