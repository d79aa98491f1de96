import { FilterDirection } from "@hardshare/protocol";
import * as z from "zod";

/** One line of a tap's log: a chunk as a connection carried it; or how much is missing there, because it came too fast to be written. */
export const TapRecord = z.object({
  at: z.iso.datetime(),
  /** Number of the connection to the service, from 1. */
  connection: z.int().min(1),
  /** `in` to the device, `out` from it. */
  direction: FilterDirection,
  /** The bytes as text, if they are UTF-8 without control characters; else in base64. */
  text: z.string().optional(),
  base64: z.base64().optional(),
  /** Bytes, of any connection and direction, that were not written down before this chunk. */
  missing: z.int().min(1).optional(),
});
export type TapRecord = z.infer<typeof TapRecord>;

/** JSON would write each of them as six characters. */
// oxlint-disable-next-line no-control-regex
const CONTROL_CHARACTER = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/;
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The bytes of a chunk as a record has them. */
export function contentOf(chunk: Buffer): Pick<TapRecord, "text" | "base64"> {
  try {
    const text = strictUtf8.decode(chunk);
    if (!CONTROL_CHARACTER.test(text)) return { text };
  } catch {
    // no UTF-8
  }
  return { base64: chunk.toString("base64") };
}
