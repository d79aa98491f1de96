import type { Clock } from "@hardshare/runtime";

/**
 * The time by which something must have happened, set and cleared at each message: its timer is not, but looks, when it
 * fires, whether the deadline has moved on.
 */
export class Deadline implements Disposable {
  readonly #clock: Clock;
  #atMs = Number.POSITIVE_INFINITY;
  #run: () => void = () => {};
  #timer: Disposable | undefined;
  #firesAtMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `run` when this much time has passed, unless it is set anew or cleared before. */
  set(delayMs: number, run: () => void): void {
    const nowMs = this.#clock.monotonicMs();
    this.#atMs = nowMs + delayMs;
    this.#run = run;
    if (this.#timer === undefined || this.#atMs < this.#firesAtMs) this.#arm(nowMs);
  }

  clear(): void {
    this.#atMs = Number.POSITIVE_INFINITY;
  }

  [Symbol.dispose](): void {
    this.clear();
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  #arm(nowMs: number): void {
    this.#timer?.[Symbol.dispose]();
    this.#firesAtMs = this.#atMs;
    this.#timer = this.#clock.after(this.#atMs - nowMs, () => this.#look());
  }

  #look(): void {
    this.#timer = undefined;
    if (this.#atMs === Number.POSITIVE_INFINITY) return;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs < this.#atMs) return this.#arm(nowMs);
    this.clear();
    this.#run();
  }
}
