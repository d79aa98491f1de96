import type { Clock } from "./clock.ts";

/** How much may be done at once, and how much more each second: a bucket of tokens, full at first. */
export class Allowance {
  readonly #clock: Clock;
  readonly #burst: number;
  readonly #perSecond: number;
  #left: number;
  #at: number;

  constructor(options: { clock: Clock; burst: number; perSecond: number }) {
    this.#clock = options.clock;
    this.#burst = options.burst;
    this.#perSecond = options.perSecond;
    this.#left = options.burst;
    this.#at = options.clock.monotonicMs();
  }

  /** @returns whether one more is allowed now; it is then used up */
  take(): boolean {
    const now = this.#clock.monotonicMs();
    this.#left = Math.min(this.#burst, this.#left + ((now - this.#at) / 1000) * this.#perSecond);
    this.#at = now;
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}
