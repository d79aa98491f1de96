import * as z from "zod";
import { AppError } from "./errors.ts";

const SECONDS_PER_UNIT: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };
const DURATION_PATTERN = /^(?:\d+(?:\.\d+)?[smhd])+$/;

/**
 * Reads a human duration such as `90s`, `32m`, `2h`, `1h30m` or `1d`.
 * @returns seconds (may have a fraction)
 * @throws AppError `bad_input` that names what was expected
 */
export function parseDurationSeconds(text: string, field = "duration"): number {
  const compact = text.trim();
  if (!DURATION_PATTERN.test(compact)) {
    throw new AppError("bad_input", `${field}: "${text}" is no duration; write a number and a unit, such as 90s, 30m, 2h or 1h30m`, {
      details: { field, expected: "a duration such as 30m" },
    });
  }
  let seconds = 0;
  for (const part of compact.matchAll(/(\d+(?:\.\d+)?)([smhd])/g)) {
    seconds += Number(part[1]) * (SECONDS_PER_UNIT[part[2] ?? "s"] ?? 1);
  }
  return seconds;
}

/** Writes seconds as the shortest human duration: `45s`, `1m 30s`, `2h 5m`, `3d 4h`. */
export function formatDuration(seconds: number): string {
  let rest = Math.max(0, Math.round(seconds));
  const parts: string[] = [];
  for (const [unit, size] of [
    ["d", 86_400],
    ["h", 3600],
    ["m", 60],
    ["s", 1],
  ] as const) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count}${unit}`);
    if (parts.length === 2) break;
  }
  return parts.length > 0 ? parts.join(" ") : "0s";
}

/** Longest silence of a user that a dead-man's switch waits for. */
export const MAX_DEAD_MAN_S = 3600;

/** Longest time that a contract may allow: ten years, so that a deadline is a date that everybody can write. */
export const MAX_DURATION_S = 3650 * 86_400;

/** A duration in a configuration file, `30m` or a plain number of seconds; becomes seconds, more than 0 and at most ten years. */
export const DurationSeconds = z
  .union([z.number().meta({ exclusiveMinimum: 0, maximum: MAX_DURATION_S }), z.string()])
  .transform((value, context) => {
    const seconds = typeof value === "number" ? value : readSeconds(value);
    if (seconds === undefined) {
      context.addIssue({ code: "custom", message: `"${value}" is no duration; write a number and a unit, such as 90s, 30m or 2h` });
    } else if (seconds > 0 && seconds <= MAX_DURATION_S) {
      return seconds;
    } else {
      context.addIssue({ code: "custom", message: "expected more than 0s, and at most 3650d" });
    }
    return z.NEVER;
  });

function readSeconds(text: string): number | undefined {
  try {
    return parseDurationSeconds(text);
  } catch {
    return undefined;
  }
}
