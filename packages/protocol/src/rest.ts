import * as z from "zod";
import { foreignText } from "./texts.ts";

/** Longest text that says why a deployment rests. */
export const MAX_REST_CHARS = 200;

/** Why a deployment cannot be launched now although it is offered, and until when; null when nobody can tell. */
export const Rest = z.object({ why: foreignText(MAX_REST_CHARS), until: z.iso.datetime().nullable() });
export type Rest = z.infer<typeof Rest>;

/** Until when it rests and why, for people: `until 2026-01-05 12:04 UTC (cooldown after an instance)`, `until ./arm.sh passes`. */
export function describeRest({ why, until }: Rest): string {
  return until === null ? why : `until ${until.slice(0, 10)} ${until.slice(11, 19)} UTC (${why})`;
}
