import { type Heartbeat, heartbeatTranscript } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import { verifyWith } from "@hardshare/wire/ssh";

/** By so much of the time that passes two good clocks may differ in pace. */
const MAX_DRIFT = 100e-6;

/**
 * Tells real, new heartbeats of one instance from forged and repeated ones, and how old each is. The clock of the user's
 * computer may be anything: only its pace counts. One that took the shortest way so far counts as new, others as older by
 * what they took longer, so that none which somebody kept back makes a silent user heard.
 */
export class HeartbeatCheck {
  readonly #instance: { instanceId: string; epoch: number };
  readonly #clock: Clock;
  #newestAt = Number.NEGATIVE_INFINITY;
  #shortestMs = Number.POSITIVE_INFINITY;

  constructor(instance: { instanceId: string; epoch: number }, clock: Clock) {
    this.#instance = instance;
    this.#clock = clock;
  }

  /** @param publicKeys that may log in at the instance @returns its age in milliseconds; undefined when it counts for nothing */
  ageMs({ at, signature }: Pick<Heartbeat, "at" | "signature">, publicKeys: readonly string[]): number | undefined {
    if (at <= this.#newestAt) return undefined;
    const transcript = heartbeatTranscript(this.#instance.instanceId, this.#instance.epoch, at);
    if (!publicKeys.some((key) => isSignedBy(key, transcript, signature))) return undefined;
    const tookMs = this.#clock.monotonicMs() - at;
    const drifted = Number.isFinite(this.#newestAt) ? (at - this.#newestAt) * MAX_DRIFT : 0;
    this.#newestAt = at;
    this.#shortestMs = Math.min(this.#shortestMs + drifted, tookMs);
    return tookMs - this.#shortestMs;
  }
}

function isSignedBy(key: string, transcript: string, signature: string): boolean {
  try {
    return verifyWith(key, transcript, signature);
  } catch {
    return false; // a key that cannot be read logs nobody in either
  }
}
