import type { Random } from "./random.ts";

/** Delays between attempts: doubling from `firstMs` up to `maxMs`, each with full jitter in its upper half, so that many peers spread out. */
export class BackOff {
  readonly #firstMs: number;
  readonly #maxMs: number;
  readonly #random: Random;
  #attempt = 0;

  constructor(options: { firstMs: number; maxMs: number; random: Random }) {
    this.#firstMs = options.firstMs;
    this.#maxMs = options.maxMs;
    this.#random = options.random;
  }

  /** The next delay in milliseconds. */
  nextMs(): number {
    const ceiling = Math.min(this.#maxMs, this.#firstMs * 2 ** this.#attempt);
    this.#attempt += 1;
    return ceiling / 2 + (ceiling / 2) * this.#random.fraction();
  }

  /** Call after success. */
  reset(): void {
    this.#attempt = 0;
  }
}
