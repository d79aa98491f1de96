import * as z from "zod";
import { foreignText } from "./texts.ts";

/** Longest summary of a message in a decision. */
export const MAX_DECISION_SUMMARY_CHARS = 200;
/** Longest rule, or reason, in a decision. */
export const MAX_DECISION_REASON_CHARS = 2000;

/** Which way a message goes: `in` to the device, `out` from it. */
export const FilterDirection = z.enum(["in", "out"]);
export type FilterDirection = z.infer<typeof FilterDirection>;

/** What a filter decided about one message, or about several that the same rule decided in the same way. */
export const FilterDecision = z.object({
  type: z.literal("decision"),
  at: z.iso.datetime(),
  /** Kind of the filter, such as `http`. */
  filter: foreignText(32),
  direction: FilterDirection,
  /** The filter rule that decided, as its owner wrote it; `default`; or `strict` for a message that two parsers could read in two ways. */
  rule: foreignText(MAX_DECISION_REASON_CHARS),
  decision: z.enum(["allow", "block"]),
  /** `shadow`: the rules are on trial (`mode: shadow`), and the message passed whatever was decided. */
  mode: z.enum(["enforce", "shadow"]),
  /** The message in short, such as `POST /api/drive/time`; of several, the last. */
  summary: foreignText(MAX_DECISION_SUMMARY_CHARS),
  /** For a block: the reason, the same that the instance's user sees. For an allow: what was changed, such as a value brought into range. */
  because: foreignText(MAX_DECISION_REASON_CHARS).optional(),
  /** How many messages this stands for; 1 when left out. */
  count: z.int().min(1).optional(),
});
export type FilterDecision = z.infer<typeof FilterDecision>;

/** Messages that a filter judged in each direction, and how many of all it refused: not those that passed with `mode: shadow`. */
const MessageCounts = z.object({ in: z.int().min(0), out: z.int().min(0), blocked: z.int().min(0) });

/** How much went through a service of an instance; `in` is towards the device. Messages only if its filter counts them. */
export const ServiceTraffic = z.object({
  service: foreignText(64),
  bytes: z.object({ in: z.int().min(0), out: z.int().min(0) }),
  messages: MessageCounts.optional(),
});
export type ServiceTraffic = z.infer<typeof ServiceTraffic>;

/**
 * A filter's sign of life, written twice a second, and within a tenth of a second after it judged input: whoever
 * supervises it knows by it that it does not hang, how much it has judged, and that the user acts.
 */
export const FilterPulse = z.object({
  type: z.literal("pulse"),
  at: z.iso.datetime(),
  /** Messages since the filter began. */
  judged: MessageCounts,
  /** How many of those that came in were signs of the user, for a dead-man's switch; all of them when left out. */
  signs: z.int().min(0).optional(),
});
export type FilterPulse = z.infer<typeof FilterPulse>;

/** The rules file was read again: its rules are in force from now on, or, with a problem, those before stay in force. */
export const FilterRulesRead = z.object({ type: z.literal("rules"), at: z.iso.datetime(), problem: foreignText(16_384).optional() });
export type FilterRulesRead = z.infer<typeof FilterRulesRead>;

/**
 * All connections were cut, those that were not yet accepted too, and what had been read of them was dropped: nothing of it
 * passes any more. The filter serves at this address (`host:port`) from now on.
 */
export const FilterCut = z.object({ type: z.literal("cut"), at: z.iso.datetime(), address: foreignText(64) });
export type FilterCut = z.infer<typeof FilterCut>;

/** One JSON line that a filter writes to standard error. Whatever else it writes there is a log for people. */
export const FilterReport = z.discriminatedUnion("type", [FilterDecision, FilterPulse, FilterRulesRead, FilterCut]);
export type FilterReport = z.infer<typeof FilterReport>;

/** How often a filter gives a sign of life, in milliseconds. */
export const FILTER_PULSE_EVERY_MS = 500;
