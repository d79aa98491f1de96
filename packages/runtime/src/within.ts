import type { Clock } from "./clock.ts";
import { pause } from "./pause.ts";

/** What a promise settles with; undefined when it does not within so long. @throws what it rejects with */
export async function within<T>(clock: Clock, limitMs: number, promise: Promise<T>): Promise<T | undefined> {
  const settled = new AbortController();
  try {
    return await Promise.race([promise, pause(clock, limitMs, settled.signal).then(() => undefined)]);
  } finally {
    settled.abort();
  }
}
