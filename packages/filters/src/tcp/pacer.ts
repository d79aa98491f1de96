import type { Clock } from "@hardshare/runtime";

/** Parts of a second in which bytes pass: what waits is let through in so many steps. */
const STEPS_PER_SECOND = 20;

/** Lets so many bytes pass in a second, in small steps; what was not used lasts for two of them, a tenth of a second. */
export class Pacer {
  readonly #clock: Clock;
  readonly #bytesPerMs: number;
  readonly #stepBytes: number;
  #free: number;
  #atMs: number;

  constructor({ clock, bytesPerSecond }: { readonly clock: Clock; readonly bytesPerSecond: number }) {
    this.#clock = clock;
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.#stepBytes = Math.max(1, bytesPerSecond / STEPS_PER_SECOND);
    this.#free = this.#stepBytes;
    this.#atMs = clock.monotonicMs();
  }

  /** @returns how many of so many bytes pass now, which are used up; the next may after `waitMs` */
  take(sizeBytes: number): number {
    const nowMs = this.#clock.monotonicMs();
    this.#free = Math.min(2 * this.#stepBytes, this.#free + (nowMs - this.#atMs) * this.#bytesPerMs);
    this.#atMs = nowMs;
    const passing = Math.min(sizeBytes, Math.floor(this.#free));
    this.#free -= passing;
    return passing;
  }

  /** How long it takes until a step may pass. */
  get waitMs(): number {
    return Math.max(0, (this.#stepBytes - this.#free) / this.#bytesPerMs);
  }
}
