/** Time as an argument: real in programs, by hand in tests and simulations. */
export interface Clock {
  /** Wall time in milliseconds since 1970 (UTC); may jump. */
  now(): number;
  /** Milliseconds that only grow; includes suspend where the system can tell. */
  monotonicMs(): number;
  /** Calls `run` once after `delayMs`; dispose the timer to cancel. Delays over 24 days are split. */
  after(delayMs: number, run: () => void): Disposable;
}

/** Largest delay that `setTimeout` keeps (2^31 − 1 ms); larger ones fire at once. */
const MAX_TIMEOUT_MS = 2_147_483_647;

export const systemClock: Clock = {
  now: () => Date.now(),
  // CLOCK_MONOTONIC stops while the machine sleeps; wall time does not. Callers that enforce deadlines compare both.
  monotonicMs: () => performance.now(),
  after(delayMs, run) {
    let timer: NodeJS.Timeout;
    const arm = (rest: number) => {
      timer = rest > MAX_TIMEOUT_MS ? setTimeout(() => arm(rest - MAX_TIMEOUT_MS), MAX_TIMEOUT_MS) : setTimeout(run, Math.max(0, rest));
    };
    arm(delayMs);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};

/** A clock that stands still until `advance` is called; timers fire in order, at their time. */
export class ManualClock implements Clock {
  #nowMs: number;
  #monotonicMs = 0;
  #timers: { at: number; order: number; run: () => void }[] = [];
  #order = 0;

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  after(delayMs: number, run: () => void): Disposable {
    const timer = { at: this.#monotonicMs + Math.max(0, delayMs), order: this.#order++, run };
    this.#timers.push(timer);
    return {
      [Symbol.dispose]: () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      },
    };
  }

  /** Moves time forward and fires what is due. */
  advance(ms: number): void {
    const end = this.#monotonicMs + ms;
    for (;;) {
      const due = this.#timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at || a.order - b.order)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== due);
      this.#nowMs += due.at - this.#monotonicMs;
      this.#monotonicMs = due.at;
      due.run();
    }
    this.#nowMs += end - this.#monotonicMs;
    this.#monotonicMs = end;
  }
}
