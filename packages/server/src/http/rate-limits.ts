import type { Clock } from "@hardshare/runtime";

export interface RateLimits {
  /** Requests per hour and address without a valid token. */
  anonymousPerHour: number;
  /** Requests per hour with one token. */
  tokenPerHour: number;
}

export const DEFAULT_RATE_LIMITS: RateLimits = { anonymousPerHour: 3600, tokenPerHour: 36_000 };

const WINDOW_MS = 3_600_000;
/** At most so many callers are counted; beyond that the oldest window is forgotten. */
const MAX_WINDOWS = 100_000;

export interface RateStanding {
  limit: number;
  /** Requests left in this window; below 0 the request is refused. */
  remaining: number;
  /** Seconds since 1970 when the window ends. */
  resetAtS: number;
}

/** Counts requests in windows of one hour from each caller's first request. In memory: each replica counts for itself. */
export class RateWindows {
  readonly #clock: Clock;
  readonly #windows = new Map<string, { endsAtMs: number; count: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts one request of `key`. */
  take(key: string, limit: number): RateStanding {
    const nowMs = this.#clock.now();
    let window = this.#windows.get(key);
    if (window === undefined || window.endsAtMs <= nowMs) {
      this.#windows.delete(key); // so that the map stays in the order in which windows began
      window = { endsAtMs: nowMs + WINDOW_MS, count: 0 };
      this.#windows.set(key, window);
      this.#forgetOld(nowMs);
    }
    window.count += 1;
    return { limit, remaining: limit - window.count, resetAtS: Math.ceil(window.endsAtMs / 1000) };
  }

  /** How a key stands, without counting anything. */
  peek(key: string, limit: number): RateStanding {
    const nowMs = this.#clock.now();
    const window = this.#windows.get(key);
    const { endsAtMs, count } = window === undefined || window.endsAtMs <= nowMs ? { endsAtMs: nowMs + WINDOW_MS, count: 0 } : window;
    return { limit, remaining: limit - count, resetAtS: Math.ceil(endsAtMs / 1000) };
  }

  #forgetOld(nowMs: number): void {
    for (const [key, window] of this.#windows) {
      if (window.endsAtMs > nowMs && this.#windows.size <= MAX_WINDOWS) return;
      this.#windows.delete(key);
    }
  }
}
