import { FILTER_PULSE_EVERY_MS } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";

/** A filter that gave no sign of life for so long hangs. */
export const HUNG_AFTER_MS = 4 * FILTER_PULSE_EVERY_MS;
/** The silence is counted in slices: when this process itself did not run meanwhile, one slice of it counts, not all. */
const SLICE_MS = FILTER_PULSE_EVERY_MS / 2;

/** Tells, once, that a filter hangs: that no pulse came for two seconds in which this process could have heard it. */
export class PulseWatch implements Disposable {
  readonly #clock: Clock;
  readonly #onHung: () => void;
  #silentMs = 0;
  #timer: Disposable | undefined;
  #isOver = false;

  /** It begins with the first pulse, unless `begin` is called before: a program that never gives one cannot be judged by it. */
  constructor(options: { clock: Clock; onHung: () => void }) {
    this.#clock = options.clock;
    this.#onHung = options.onHung;
  }

  /** Expects pulses from now on. */
  begin(): void {
    this.pulse();
  }

  pulse(): void {
    if (this.#isOver) return;
    this.#silentMs = 0;
    this.#wait();
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#timer?.[Symbol.dispose]();
  }

  #wait(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.#clock.after(SLICE_MS, () => {
      this.#silentMs += SLICE_MS;
      if (this.#silentMs < HUNG_AFTER_MS) return this.#wait();
      this[Symbol.dispose]();
      this.#onHung();
    });
  }
}
