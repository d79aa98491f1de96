/**
 * When an instance must end, as its host can tell it without the server: on two clocks, whichever comes first.
 * `wallMs` is the server's absolute time on the host's wall clock, `uptimeMs` the time since the host's boot (which
 * counts while it sleeps); the second means something only within the boot that `bootId` names.
 */
export interface Deadline {
  wallMs: number;
  uptimeMs: number;
  bootId: string;
}

/** The host's clocks at one moment. */
export interface HostTime {
  wallMs: number;
  uptimeMs: number;
  bootId: string;
}

/** A deadline as it came over the channel (`deadline` ISO 8601, `remainingMs` at sending), on the clocks of this host. */
export function placeDeadline(sent: { deadline: string; remainingMs: number }, at: HostTime): Deadline {
  return { wallMs: Date.parse(sent.deadline), uptimeMs: at.uptimeMs + sent.remainingMs, bootId: at.bootId };
}

/**
 * The deadline after it was sent once more. The same absolute time is the same deadline, so a late repetition never
 * moves it back; another absolute time replaces it.
 */
export function replaceDeadline(known: Deadline, sent: Deadline): Deadline {
  if (known.wallMs !== sent.wallMs || known.bootId !== sent.bootId) return sent;
  return known.uptimeMs <= sent.uptimeMs ? known : sent;
}

/** Milliseconds left, 0 or less when it is over; after a reboot the deadline cannot be placed in time and is over. */
export function remainingMs(deadline: Deadline, at: HostTime): number {
  if (deadline.bootId !== at.bootId) return 0;
  return Math.min(deadline.wallMs - at.wallMs, deadline.uptimeMs - at.uptimeMs);
}
