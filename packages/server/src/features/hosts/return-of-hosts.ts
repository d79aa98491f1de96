import type { Host } from "@hardshare/db";

/**
 * So long a host that was lost has to come back, and so has every host after a start of the server, before its silence
 * counts: 95 % of 10,000 hosts are back in 15 s (promises.md, P13).
 */
export const RETURN_MS = 15_000;
/**
 * So long its place is kept for it. Less by the longest pause between two attempts of a host: a computer that was started
 * again, and has to wait for this, must be back before its silence counts.
 */
export const PLACE_KEPT_MS = 10_000;

/** Whether a host's place is to be kept for somebody else than who comes: another computer, or another boot of it, was there. */
export function isPlaceOfAnother(host: Pick<Host, "bootId">, bootId: string): boolean {
  return host.bootId !== null && host.bootId !== bootId;
}

/**
 * Until when a host's place is kept for the computer that was connected last, in milliseconds since 1970; 0 when it is
 * not. One with another boot id is either that computer, started again, or a copy of it, which would end its instance.
 */
export function placeKeptUntilMs(
  host: Pick<Host, "bootId" | "lastSeenAt">,
  now: { bootId: string; hasInstance: boolean; serverStartedAtMs: number },
): number {
  if (!isPlaceOfAnother(host, now.bootId)) return 0;
  const goneAtMs = host.lastSeenAt?.getTime() ?? 0;
  // An instance goes on while the server is stopped, for however long.
  return Math.max(goneAtMs, now.hasInstance ? now.serverStartedAtMs : 0) + PLACE_KEPT_MS;
}
