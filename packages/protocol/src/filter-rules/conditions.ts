import * as z from "zod";

/** JSON Schema, draft 2020-12. It is compiled, and refused when it is wrong, by the filter. */
export const JsonSchema = z.union([z.boolean(), z.record(z.string(), z.unknown())]).describe("JSON Schema, draft 2020-12.");
export type JsonSchema = z.infer<typeof JsonSchema>;

/** A place in a JSON value: the name of a field, or a JSON pointer (RFC 6901) in which `*` stands for each element or field. */
const Place = z
  .string()
  .min(1)
  .refine(
    (place) => place.startsWith("/") || !place.includes("/"),
    "expected a name, or a JSON pointer that begins with /, such as /joints/*/speed",
  )
  .refine((place) => !/~(?![01])/.test(place), "expected ~0 for ~, and ~1 for / in a name")
  .describe("A field, or a JSON pointer such as /joints/*/speed, in which * stands for each.");

/** Smallest and largest number. */
const Range = z.tuple([z.number(), z.number()]).refine(([least, most]) => least <= most, "expected [smallest, largest]");

/** Numbers that are brought into range instead of refused, by their places. */
export const Clamp = z.record(Place, Range).describe("Numbers that are brought into range instead of refused.");
export type Clamp = z.infer<typeof Clamp>;

/** Most messages that a rate may allow in its time: each takes memory until that is over. */
const MAX_RATE = 100_000;

/** At most so many messages in any second, minute, hour or day. */
export const Rate = z
  .string()
  .regex(/^[1-9]\d{0,5}\/(?:s|min|h|d)$/, "expected a number of messages and a time, such as 10/s, 100/min, 20/h or 5/d")
  .refine((rate) => Number.parseInt(rate, 10) <= MAX_RATE, `expected at most ${MAX_RATE} messages`)
  .describe("At most so many messages in any second, minute, hour or day, such as 10/s.");

/** How much an instance may use up: of messages, or of a number taken from them. */
export const Budget = z
  .union([
    Rate,
    z.strictObject({
      at_most: z.number().positive(),
      per: z.enum(["s", "min", "h", "d"]).optional().describe("In any such time; left out: in the whole instance."),
      of: Place.optional().describe("The number in the message that is used up, which must not be negative; left out: 1 for each message."),
    }),
  ])
  .describe("How much may be used up, such as 100/h, or { at_most: 500, per: h, of: joules }; survives a crash of the filter.");
export type Budget = z.infer<typeof Budget>;

/** Conditions of how often, which every `allow` may have. */
export const limitFields = { rate: Rate.optional(), budget: Budget.optional() };

/** The reason that the user of the instance sees. */
export const Because = z.string().max(500).optional().describe("The reason that the user of the instance sees.");

/** What every rules file has: what happens to messages that no rule matches, and whether the rules are on trial. */
export const fileFields = {
  default: z.enum(["allow", "block"]).default("block").describe("For messages that no rule matches."),
  mode: z.enum(["enforce", "shadow"]).default("enforce").describe("`shadow`: decides and reports, but blocks nothing, to try rules out."),
};
