/**
 * The three ways in which the existing HTTP API writes times (rerobots-http-api.md §2.0).
 * All are UTC; clients parse them, so they must not be "improved".
 */

/** `YYYY-MM-DD HH:MM:SS[.ffffff]`, no zone; the fraction is left out when it is 0. */
export function formatNaiveUtc(time: Date): string {
  const iso = time.toISOString();
  const fraction = time.getUTCMilliseconds();
  const base = `${iso.slice(0, 10)} ${iso.slice(11, 19)}`;
  return fraction === 0 ? base : `${base}.${String(fraction).padStart(3, "0")}000`;
}

/** ISO 8601 with `Z`, as in `GET /instances?details`. */
export function formatIsoUtc(time: Date): string {
  return time.toISOString();
}

/** `YYYY-MM-DD HH:MM UTC`, as in `/hardshare/list`. */
export function formatMinuteUtc(time: Date): string {
  const iso = time.toISOString();
  return `${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC`;
}
