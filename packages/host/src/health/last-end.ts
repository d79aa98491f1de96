import type { Clock } from "@hardshare/runtime";

/** A difference between the wall clock and the one that only grows which is no jump, but how they are read. */
const JITTER_MS = 2000;

/**
 * When the last instance ended, on the wall clock as it is now: the journal's time, moved along when the clock jumps
 * while the daemon runs. What the journal puts into the future ended when it was first looked at.
 */
export class LastEnd {
  readonly #clock: Clock;
  #seen: { journalledMs: number; endedAtMs: number; wallMs: number; monotonicMs: number } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param journalled as the journal says; undefined when there was none */
  atMs(journalled: string | undefined): number | null {
    if (journalled === undefined) return null;
    const journalledMs = Date.parse(journalled);
    const now = { wallMs: this.#clock.now(), monotonicMs: this.#clock.monotonicMs() };
    if (this.#seen?.journalledMs !== journalledMs) this.#seen = { journalledMs, endedAtMs: Math.min(journalledMs, now.wallMs), ...now };
    const jumpMs = now.wallMs - this.#seen.wallMs - (now.monotonicMs - this.#seen.monotonicMs);
    return Math.abs(jumpMs) < JITTER_MS ? this.#seen.endedAtMs : this.#seen.endedAtMs + jumpMs;
  }
}
