import type { Hours } from "@hardshare/protocol";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** Days that are looked at: what began yesterday, and each day of the week that begins today, once. */
const DAYS_AHEAD = 8;

/** Whether it is open, and when that changes next, in milliseconds since 1970; null: never. */
export interface OpenState {
  isOpen: boolean;
  changesAtMs: number | null;
}

/**
 * Where a moment lies in the hours of a lab. Times are read on the clock of its time zone: in the night in which that is
 * put forward or back, an opening is shorter or longer than it says.
 */
export function openStateAt({ open, time_zone: timeZone }: Hours, nowMs: number): OpenState {
  const zone = new Intl.DateTimeFormat("en-US", { timeZone, hourCycle: "h23", ...DATE_AND_TIME });
  const today = midnightOf(wallTimeOf(zone, nowMs));
  const spans: { fromMs: number; toMs: number }[] = [];
  for (let ahead = -1; ahead <= DAYS_AHEAD; ahead += 1) {
    const midnight = today + ahead * DAY_MS;
    const day = (new Date(midnight).getUTCDay() + 6) % 7;
    for (const opening of open.filter((each) => each.day === day)) {
      const fromMs = instantOf(zone, midnight + opening.fromMinute * MINUTE_MS);
      const toMs = instantOf(zone, midnight + opening.toMinute * MINUTE_MS);
      if (toMs > fromMs) spans.push({ fromMs, toMs });
    }
  }
  spans.sort((a, b) => a.fromMs - b.fromMs);
  let closesAtMs = nowMs;
  for (const { fromMs, toMs } of spans) if (fromMs <= closesAtMs && toMs > closesAtMs) closesAtMs = toMs;
  if (closesAtMs > nowMs) {
    // As far as one can see: it is open all the time.
    const isEndless = closesAtMs - nowMs > (DAYS_AHEAD - 1) * DAY_MS;
    return { isOpen: true, changesAtMs: isEndless ? null : closesAtMs };
  }
  return { isOpen: false, changesAtMs: spans.find(({ fromMs }) => fromMs > nowMs)?.fromMs ?? null };
}

const DATE_AND_TIME = {
  year: "numeric",
  month: "numeric",
  day: "numeric",
  hour: "numeric",
  minute: "numeric",
  second: "numeric",
} as const;

/** What the clock in a time zone shows, as if it were UTC. */
function wallTimeOf(zone: Intl.DateTimeFormat, atMs: number): number {
  const parts = Object.fromEntries(zone.formatToParts(atMs).map(({ type, value }) => [type, Number(value)]));
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

function midnightOf(wallTime: number): number {
  return Math.floor(wallTime / DAY_MS) * DAY_MS;
}

/** When the clock in a time zone shows a time; one that it jumps over counts by the clock before the jump. */
function instantOf(zone: Intl.DateTimeFormat, wallTime: number): number {
  const offsetAt = (atMs: number) => wallTimeOf(zone, atMs) - Math.floor(atMs / 1000) * 1000;
  const first = wallTime - offsetAt(wallTime - DAY_MS); // by the clock of the day before
  if (offsetAt(first) === wallTime - first) return first;
  const second = wallTime - offsetAt(first);
  return offsetAt(second) === wallTime - second ? second : first;
}
