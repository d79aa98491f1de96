import { z } from "zod";

/** Longest summary of a message in a decision. */
export const MAX_DECISION_SUMMARY_CHARS = 200;

/** What a filter decided about one message. Filters write it as a JSON line on standard error. */
export const FilterDecision = z.object({
  at: z.iso.datetime(),
  /** Kind of the filter, such as `http`. */
  filter: z.string().max(32),
  /** The filter rule that decided, as its owner wrote it; `default`; or `strict` for a message that two parsers could read in two ways. */
  rule: z.string().max(2000),
  decision: z.enum(["allow", "block"]),
  /** The message in short, such as `POST /api/drive/time`. */
  summary: z.string().max(MAX_DECISION_SUMMARY_CHARS),
  /** For a block: the reason, the same that the instance's user sees. */
  because: z.string().max(2000).optional(),
});
export type FilterDecision = z.infer<typeof FilterDecision>;
