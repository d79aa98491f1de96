import * as z from "zod";
import { DurationSeconds } from "../durations.ts";
import { Because, fileFields, limitFields } from "./conditions.ts";

/** Most connections of a filter at the same time: as many as a service of an instance may have. */
export const MAX_TCP_CONNECTIONS = 256;

const PeerPattern = z
  .string()
  .min(1)
  .describe("Address of the peer, such as 192.168.1.7, a network such as 10.0.0.0/8 or fd00::/8, or * for any.");

/** A number of bytes, or a text such as `64k`; becomes bytes. */
const ByteCount = z
  .union([z.int().min(1).max(Number.MAX_SAFE_INTEGER), z.string().regex(/^[1-9]\d{0,8}[kmg]?$/i, "expected bytes such as 4096, 64k or 2m")])
  .transform((size) => {
    if (typeof size === "number") return size;
    const unit = /[kmg]$/i.exec(size)?.[0].toLowerCase() as "k" | "m" | "g" | undefined;
    return Number.parseInt(size, 10) * (unit === undefined ? 1 : { k: 1024, m: 1024 ** 2, g: 1024 ** 3 }[unit]);
  });

const TcpAllowRule = z.strictObject({
  allow: PeerPattern,
  at_once: z
    .int()
    .min(1)
    .max(MAX_TCP_CONNECTIONS)
    .optional()
    .describe(`Most connections of this rule at the same time; ${MAX_TCP_CONNECTIONS} of all rules together.`),
  bytes_per_second: z
    .strictObject({ in: ByteCount.optional(), out: ByteCount.optional() })
    .optional()
    .describe(
      "How fast all connections of this rule together may send `in` to the device, and `out` from it; more waits, and is not lost.",
    ),
  idle: DurationSeconds.optional().describe("A connection that carried nothing for so long, either way, is closed."),
  ...limitFields,
  because: Because,
});
export type TcpAllowRule = z.infer<typeof TcpAllowRule>;
const TcpRule = z.union([TcpAllowRule, z.strictObject({ block: PeerPattern, because: Because })]);

/** The rules file of the `tcp` filter, for devices whose messages no filter reads: its messages are connections. */
export const TcpFilterRules = z.strictObject({
  ...fileFields,
  rules: z.array(TcpRule).default([]).describe("The first whose pattern matches decides."),
});
export type TcpFilterRules = z.infer<typeof TcpFilterRules>;
