import type { DesiredInstance } from "@hardshare/protocol";

/** A clock that is further off than this ends instances early or keeps programs' certificates from being trusted: people should know. */
const CLOCK_TOLERANCE_MS = 60_000;

/** What people are told when the clock of the host is not that of the server; undefined when it is. */
export function warnOfClock({ remainingMs, deadline }: DesiredInstance, nowMs: number): string | undefined {
  const aheadMs = nowMs + remainingMs - Date.parse(deadline);
  if (Math.abs(aheadMs) <= CLOCK_TOLERANCE_MS) return undefined;
  return `the clock of the host is ${Math.round(Math.abs(aheadMs) / 1000)} s ${aheadMs > 0 ? "ahead of" : "behind"} the server's: set it by NTP`;
}
