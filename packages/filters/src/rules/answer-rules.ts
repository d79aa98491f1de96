import type { HttpResponse } from "@hardshare/protocol";
import { compilePlace, type JsonPlace, removePlaces } from "./json-place.ts";

/** What of a device's answer may go back. */
export interface AnswerRules {
  /** @returns why an answer with this status does not go back */
  judgeStatus(status: number): string | undefined;
  /** Names and values by turns, without those that stay with the device. */
  selectHeaders(headers: readonly string[]): readonly string[];
  /** Removes fields from a JSON body; undefined when bodies pass as they are. */
  readonly body: AnswerBodyRules | undefined;
}

interface AnswerBodyRules {
  /** Most bytes of a body that is held. */
  readonly limitBytes: number;
  /** @returns the text without the fields and how many were removed, or why it does not go back */
  remove(text: Buffer): { readonly text: string; readonly removed: number } | { readonly problem: string };
}

/** Kinds of bodies that hold no JSON. */
const NO_JSON = /^(?:image|audio|video|font)\//i;

/** Whether a body of this kind has to be looked into for fields to remove. */
export function mayHoldJson(contentTypes: readonly string[]): boolean {
  return contentTypes.length === 0 || contentTypes.some((type) => !NO_JSON.test(type));
}

/** Compiles what a file and one of its rules say of answers: both hold. Undefined when neither says anything. */
export function compileAnswerRules(sources: readonly (HttpResponse | undefined)[], limitBytes: number): AnswerRules | undefined {
  const said = sources.filter((source) => source !== undefined);
  if (said.length === 0) return undefined;
  const statuses = said.flatMap(({ status }) => (status === undefined ? [] : [new Set<number | string>(status)]));
  const dropped = new Set(said.flatMap(({ drop_headers: names }) => names.map((name) => name.toLowerCase())));
  const places = said.flatMap(({ remove }) => remove.map(compilePlace));
  return {
    judgeStatus(status) {
      const isAllowed = statuses.every((set) => set.has(status) || set.has(`${Math.trunc(status / 100)}xx`));
      return isAllowed ? undefined : `the owner's filter rules let no answer with the status ${status} back`;
    },
    selectHeaders: (headers) =>
      dropped.size === 0 ? headers : headers.filter((_text, index) => !dropped.has((headers[index - (index % 2)] ?? "").toLowerCase())),
    body: places.length === 0 ? undefined : { limitBytes, remove: (text) => removeFields(text, places) },
  };
}

/** Doubled fields and numbers that no double holds vanish: the answer is written anew from what was parsed. */
function removeFields(text: Buffer, places: readonly JsonPlace[]): { text: string; removed: number } | { problem: string } {
  try {
    const value: unknown = JSON.parse(text.toString("utf8"));
    const removed = removePlaces(value, places);
    return { text: JSON.stringify(value), removed };
  } catch {
    // What exactly is wrong with it would tell a part of it.
    return { problem: "the owner's filter rules remove fields of answers, and this one is no JSON" };
  }
}
