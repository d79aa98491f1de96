/**
 * A signal that is aborted with another one, and after so many milliseconds with a `TimeoutError`. In Node 20
 * `AbortSignal.any` holds its sources weakly: an `AbortSignal.timeout` that nobody else holds is forgotten when memory is
 * tidied up, and never comes.
 */
export function withTimeLimit(signal: AbortSignal, limitMs: number): AbortSignal {
  const timeout = AbortSignal.timeout(limitMs);
  timeout.addEventListener("abort", () => {}, { once: true }); // one that somebody listens to is kept until it comes
  return AbortSignal.any([signal, timeout]);
}
