import type { Clock } from "./clock.ts";

/** Waits for `delayMs`, or until the signal is aborted, whichever comes first; never rejects. */
export function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = clock.after(delayMs, finish);
    signal.addEventListener("abort", finish, { once: true });
    function finish() {
      timer[Symbol.dispose]();
      signal.removeEventListener("abort", finish);
      resolve();
    }
    if (signal.aborted) finish();
  });
}
