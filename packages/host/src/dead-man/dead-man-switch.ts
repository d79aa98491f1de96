import type { Clock } from "@hardshare/runtime";

/** Before it fires, what has come already and was not read yet is read: this process may have been stopped, or busy. */
const READ_FIRST_MS = 20;

/**
 * Fires when nothing was heard from the user for longer than the window. Armed by the first message; once it has fired
 * it is armed anew by the next one.
 */
export class DeadManSwitch implements Disposable {
  readonly #windowMs: number;
  readonly #clock: Clock;
  readonly #onSilence: () => void;
  /** When the user was heard last; undefined while not armed. */
  #heardAtMs: number | undefined;
  #timer: Disposable | undefined;

  constructor(options: { windowMs: number; clock: Clock; onSilence: () => void }) {
    this.#windowMs = options.windowMs;
    this.#clock = options.clock;
    this.#onSilence = options.onSilence;
  }

  get isArmed(): boolean {
    return this.#heardAtMs !== undefined;
  }

  /** The user acts, so long ago. */
  arm(ageMs = 0): void {
    this.#heardAtMs ??= Number.NEGATIVE_INFINITY;
    this.hear(ageMs);
  }

  /** The user is there, or was so long ago; that arms nothing. */
  hear(ageMs = 0): void {
    if (this.#heardAtMs === undefined) return;
    this.#heardAtMs = Math.max(this.#heardAtMs, this.#clock.monotonicMs() - ageMs);
    this.#timer ??= this.#clock.after(this.#leftMs(), () => this.#look());
  }

  disarm(): void {
    this.#heardAtMs = undefined;
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  [Symbol.dispose](): void {
    this.disarm();
  }

  #leftMs(): number {
    return Math.max(0, (this.#heardAtMs ?? 0) + this.#windowMs - this.#clock.monotonicMs());
  }

  #look(): void {
    const leftMs = this.#leftMs();
    this.#timer = this.#clock.after(leftMs > 0 ? leftMs : READ_FIRST_MS, () => (leftMs > 0 ? this.#look() : this.#lookAgain()));
  }

  #lookAgain(): void {
    if (this.#leftMs() > 0) return this.#look();
    this.disarm();
    this.#onSilence();
  }
}
