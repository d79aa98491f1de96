/** Ends what takes too long or is no longer wanted: one place for the signal and the time limit of every engine call. */
import { AppError } from "@hardshare/protocol";
import { type Clock, systemClock } from "@hardshare/runtime";
import type { CallOptions } from "./engine.ts";

/**
 * Runs `run` with a signal that is aborted when the caller's is, or after `timeoutMs` (none when undefined).
 * Rejects with `cancelled` or `timed_out` then, whatever `run` itself throws.
 * @param doing what is done, for the message: "start the container"
 */
export async function runLimited<T>(
  doing: string,
  options: CallOptions,
  run: (signal: AbortSignal) => Promise<T>,
  clock: Clock = systemClock,
): Promise<T> {
  const { signal: outer, timeoutMs } = options;
  const controller = new AbortController();
  const cancel = () => controller.abort(new AppError("cancelled", `stopped before the container engine could ${doing}`));
  if (outer?.aborted === true) cancel();
  outer?.addEventListener("abort", cancel, { once: true });
  // The clock's, not the bare timer of Node: that one fires at once for more than 24 days, which a contract may allow.
  const timer =
    timeoutMs === undefined
      ? undefined
      : clock.after(timeoutMs, () => {
          controller.abort(new AppError("timed_out", `the container engine did not ${doing} within ${timeoutMs} ms`));
        });
  try {
    controller.signal.throwIfAborted();
    return await run(controller.signal);
  } catch (error) {
    throw controller.signal.aborted ? controller.signal.reason : error;
  } finally {
    timer?.[Symbol.dispose]();
    outer?.removeEventListener("abort", cancel);
  }
}

/** Rejects with the signal's reason once it is aborted, else settles like the promise. */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const settled = new AbortController();
  const aborted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true, signal: settled.signal });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    settled.abort();
  }
}
