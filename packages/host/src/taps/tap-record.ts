import { FilterDirection } from "@hardshare/protocol";
import { z } from "zod";

/** One line of a tap's log: a chunk as a connection carried it; or how much is missing there, because it came too fast to be written. */
export const TapRecord = z.object({
  at: z.iso.datetime(),
  /** Number of the connection to the service, from 1. */
  connection: z.int().min(1),
  /** `in` to the device, `out` from it. */
  direction: FilterDirection,
  /** The bytes as text, if they are UTF-8; else in base64. */
  text: z.string().optional(),
  base64: z.base64().optional(),
  /** Bytes, of any connection and direction, that were not written down before this chunk. */
  missing: z.int().min(1).optional(),
});
export type TapRecord = z.infer<typeof TapRecord>;

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The bytes of a chunk as a record has them. */
export function contentOf(chunk: Buffer): Pick<TapRecord, "text" | "base64"> {
  try {
    return { text: strictUtf8.decode(chunk) };
  } catch {
    return { base64: chunk.toString("base64") };
  }
}
