/** Small pools of ids, so that generated calls of stores meet each other's rows. */
import { createHash } from "node:crypto";
import type { newId } from "./sample-rows.fixture.ts";

/** Always the same for a kind and a number. */
export function idOf(kind: string, index: number): ReturnType<typeof newId> {
  const hex = createHash("sha256").update(`${kind}${index}`).digest("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), `4${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join("-") as ReturnType<
    typeof newId
  >;
}
export const idsOf = (kind: string, size: number) => Array.from({ length: size }, (_, index) => idOf(kind, index));
export const IDS = { host: idsOf("host", 3), hub: idsOf("hub", 2), deployment: idsOf("deployment", 3), instance: idsOf("instance", 6) };
export const HASHES = ["a", "b", "c"].map((letter) => letter.repeat(64));
