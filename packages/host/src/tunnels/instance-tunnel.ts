import { AppError, type TunnelTarget } from "@hardshare/protocol";
import { BackOff, type Clock, Deferred, type Logger, type Random } from "@hardshare/runtime";
import { SshForwarder } from "@hardshare/wire/ssh";
import { orAborted } from "../engine/call-limits.ts";
import type { Tunnel, TunnelOptions } from "./tunnel.ts";

const REDIAL_FIRST_MS = 100;
const REDIAL_MAX_MS = 3000;
/** A tunnel that is gone for less is not told: the hub cuts an unwanted one a moment before its host hears of the end. */
export const TOLD_BROKEN_AFTER_MS = 1000;
/** How long the first forward may take to be bound, once the hub is known. */
export const BOUND_WITHIN_MS = 30_000;

export interface InstanceTunnelOptions extends TunnelOptions {
  /** The host's identity key. */
  privateKey: string;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** A tunnel over SSH. */
export class InstanceTunnel implements Tunnel {
  readonly #options: InstanceTunnelOptions;
  readonly #firstTarget = new Deferred();
  readonly #firstBound = new Deferred();
  readonly #opened = new Deferred();
  #target: TunnelTarget | null = null;
  #forwarder: SshForwarder | undefined;
  #isClosed = false;
  #brokenTimer: Disposable | undefined;
  #isToldBroken = false;
  #lastError: AppError | undefined;

  constructor(options: InstanceTunnelOptions) {
    this.#options = options;
  }

  get bound(): Promise<void> {
    return this.#firstBound.promise;
  }

  setTarget(target: TunnelTarget | null): void {
    if (target === null || this.#isClosed || JSON.stringify(target) === JSON.stringify(this.#target)) return;
    this.#target = target;
    this.#firstTarget.resolve();
    this.#dial(target);
  }

  open(): void {
    this.#opened.resolve();
  }

  async waitUntilBound(signal: AbortSignal): Promise<void> {
    await orAborted(this.#firstTarget.promise, signal);
    const late = new AbortController();
    using _timer = this.#options.clock.after(BOUND_WITHIN_MS, () => {
      const why = this.#lastError?.message ?? "no answer";
      late.abort(new AppError("timed_out", `no tunnel to the hub within ${BOUND_WITHIN_MS / 1000} s: ${why}`, { cause: this.#lastError }));
    });
    await orAborted(this.#firstBound.promise, AbortSignal.any([signal, late.signal]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#brokenTimer?.[Symbol.dispose]();
    await this.#forwarder?.[Symbol.asyncDispose]();
  }

  #dial(target: TunnelTarget): void {
    void this.#forwarder?.[Symbol.asyncDispose]();
    const { privateKey, dial, clock, random, logger, onBroken } = this.#options;
    this.#forwarder = new SshForwarder({
      target,
      privateKey,
      mayForward: this.#opened.promise,
      dial,
      clock,
      logger,
      newBackOff: () => new BackOff({ firstMs: REDIAL_FIRST_MS, maxMs: REDIAL_MAX_MS, random }),
      onBound: () => {
        this.#brokenTimer?.[Symbol.dispose]();
        if (this.#isToldBroken) onBroken(false);
        this.#isToldBroken = false;
        this.#firstBound.resolve();
      },
      onLost: () => {
        this.#brokenTimer?.[Symbol.dispose]();
        this.#brokenTimer = clock.after(TOLD_BROKEN_AFTER_MS, () => {
          this.#isToldBroken = true;
          onBroken(true);
        });
      },
      onError: (error) => {
        this.#lastError = error;
        logger.debug("tunnel attempt failed", { hub: `${target.host}:${target.port}`, error });
      },
    });
  }
}
