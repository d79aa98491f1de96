import * as z from "zod";

/** Half a pair of UTF-16: with the flag `u` whole pairs are no surrogates. */
const LONE_SURROGATE = /\p{Surrogate}/gu;
const NUL = "\0";

/** Longest reason of a lock-out, of what is left after an instance, of an endpoint's trouble. */
export const MAX_REASON_CHARS = 1000;

/** Whether a text can be written as UTF-8 and kept by PostgreSQL, which knows no NUL (its documentation, 8.3 and 8.14). */
export function isStorableText(text: string): boolean {
  return !text.includes(NUL) && text.search(LONE_SURROGATE) < 0;
}

/** The text with U+FFFD in place of what can't be kept. */
export function toStorableText(text: string): string {
  return text.replaceAll(NUL, "\uFFFD").replace(LONE_SURROGATE, "\uFFFD");
}

/** What a program printed, or somebody else's words, at most `maxChars`: nobody can be asked to write them anew. */
export function foreignText(maxChars: number) {
  return z.string().max(maxChars).transform(toStorableText);
}
