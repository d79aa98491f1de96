import { type Deadline, type HostTime, remainingMs } from "@hardshare/core";
import type { Clock } from "@hardshare/runtime";

/** A wall clock that is set, or a computer that wakes up, tells nobody: so clocks are compared at least this often. */
const LOOK_AGAIN_MS = 1000;

/** Calls `onOver` once when the deadline has passed on either of the host's clocks. */
export class DeadlineWatch implements Disposable {
  readonly #clock: Clock;
  readonly #time: () => HostTime;
  readonly #onOver: () => void;
  #deadline: Deadline;
  #timer: Disposable | undefined;

  constructor(options: { deadline: Deadline; clock: Clock; time: () => HostTime; onOver: () => void }) {
    this.#deadline = options.deadline;
    this.#clock = options.clock;
    this.#time = options.time;
    this.#onOver = options.onOver;
    this.#look();
  }

  get deadline(): Deadline {
    return this.#deadline;
  }

  move(deadline: Deadline): void {
    this.#deadline = deadline;
    if (this.#timer === undefined) return; // over already
    this.#timer[Symbol.dispose]();
    this.#look();
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  #look(): void {
    const left = remainingMs(this.#deadline, this.#time());
    this.#timer = this.#clock.after(Math.max(0, Math.min(left, LOOK_AGAIN_MS)), () => {
      if (remainingMs(this.#deadline, this.#time()) > 0) return this.#look();
      this.#timer = undefined;
      this.#onOver();
    });
  }
}
