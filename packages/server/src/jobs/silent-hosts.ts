import type { EndingInstance } from "@hardshare/db";
import { RETURN_MS } from "../features/hosts/return-of-hosts.ts";

/** After the deadline a host ends its instance by itself; when it stays away for so long beyond, it is not waited for. */
const AFTER_DEADLINE_MS = 5000;
/** Beside the contract's own time for ending, a host has so long to say that it let go. */
const CONFIRM_MS = 60_000;

/**
 * When a TERMINATING instance is given up on, as milliseconds since 1970: its row then becomes TERMINATED together with
 * a lock-out, because nobody knows what is left at the host.
 */
export function giveUpAtMs(ending: EndingInstance, serverStartedAtMs: number): number {
  const { instance, endTimeoutS, hostConnectedAt, hostLastSeenAt } = ending;
  const endingAtMs = (instance.endingAt ?? instance.startedAt).getTime();
  const unconfirmedAtMs = endingAtMs + CONFIRM_MS + endTimeoutS * 1000;
  const startMs = serverStartedAtMs + RETURN_MS;
  // One that came back just now has yet to say what happened while it could not.
  if (hostConnectedAt !== null) return Math.max(unconfirmedAtMs, startMs, hostConnectedAt.getTime() + RETURN_MS);
  const awayAtMs = Math.max(instance.deadline.getTime() + AFTER_DEADLINE_MS, (hostLastSeenAt?.getTime() ?? 0) + RETURN_MS);
  return Math.max(Math.min(awayAtMs, unconfirmedAtMs), startMs);
}
