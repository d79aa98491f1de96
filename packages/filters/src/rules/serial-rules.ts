import { type FilterDirection, SerialFilterRules, type Clamp, type JsonSchema } from "@hardshare/protocol";
import { parseYamlWith } from "@hardshare/runtime";
import { type LineMatch, type LinePattern, compileLinePattern } from "./line-pattern.ts";
import type { LimitKeeper, Limits } from "./limits.ts";
import { compileValueCondition, type ValueCondition } from "./value-condition.ts";

/** The rules of one `serial` filter, ready to judge. */
export interface CompiledSerialRules extends Pick<SerialFilterRules, "mode" | "messages" | "refusal"> {
  /** What the device says when it has taken a message; undefined: nothing waits for it. */
  readonly answer: LinePattern | undefined;
  readonly in: DirectionRules;
  readonly out: DirectionRules;
}

interface DirectionRules {
  readonly default: "allow" | "block";
  readonly rules: readonly CompiledSerialRule[];
}

type CompiledSerialRule = { readonly pattern: LinePattern; readonly because: string | undefined } & (
  | { readonly decision: "block" }
  | {
      readonly decision: "allow";
      readonly condition: ValueCondition;
      readonly clamp: Clamp;
      readonly limits: Limits;
    }
);

/** Named parts of a message; those that are decimal numbers are numbers. */
type SerialParts = Readonly<Record<string, string | number>>;

/** What the rules say about one message. */
export type SerialVerdict = { readonly rule: string; readonly parts?: SerialParts } & (
  | {
      readonly decision: "allow";
      /** The message as it may pass: with numbers brought into range. */
      readonly text: string;
      /** What was changed. */
      readonly because?: string;
    }
  | { readonly decision: "block"; readonly because: string }
);

/** The words of the rules file, compiled; what only a closer look can tell is an issue at its field. */
function compiledRulesFile(limits: LimitKeeper) {
  return SerialFilterRules.transform((file, context): CompiledSerialRules => {
    checkMessages(file, context);
    const { mode, messages, refusal, output } = file;
    return {
      mode,
      messages,
      refusal,
      answer: file.answer === undefined ? undefined : compileAnswer(file.answer, context),
      in: { default: file.default, rules: compileRules(file.rules, ["rules"], "in", limits, context) },
      out: { default: output.default, rules: compileRules(output.rules, ["output", "rules"], "out", limits, context) },
    };
  });
}

/** What tells an issue at a field of the file. */
type Context = { addIssue(issue: { code: "custom"; path: PropertyKey[]; message: string }): void };

function checkMessages({ messages, refusal }: SerialFilterRules, context: Context): void {
  const refuse = (field: string, message: string) => context.addIssue({ code: "custom", path: ["messages", field], message });
  const { end, length, realtime } = messages;
  if (length !== undefined && end !== undefined) refuse("length", "expected either `end` or `length`, not both");
  if (length !== undefined && realtime.length > 0) {
    refuse("realtime", "expected none with `length`, because any byte may be part of such a message");
  }
  if (length !== undefined && refusal !== "") {
    context.addIssue({ code: "custom", path: ["refusal"], message: "expected none with `length`, because a line has another one" });
  }
  const endBytes = Array.isArray(end) ? end : [0x0d, 0x0a];
  if (realtime.some((byte) => endBytes.includes(byte))) refuse("realtime", "expected no byte that ends a message");
}

function compileAnswer(source: string, context: Context): LinePattern | undefined {
  const pattern = compileLinePattern(source);
  if (!("problem" in pattern)) return pattern;
  context.addIssue({ code: "custom", path: ["answer"], message: pattern.problem });
  return undefined;
}

type Rule = SerialFilterRules["rules"][number];

function compileRules(
  rules: readonly Rule[],
  place: readonly PropertyKey[],
  direction: FilterDirection,
  limits: LimitKeeper,
  context: Context,
): CompiledSerialRule[] {
  return rules.flatMap((rule, index): CompiledSerialRule[] => {
    const refuse = (path: readonly PropertyKey[], message: string) =>
      context.addIssue({ code: "custom", path: [...place, index, ...path], message });
    const pattern = compileLinePattern("allow" in rule ? rule.allow : rule.block);
    if ("problem" in pattern) {
      refuse(["allow" in rule ? "allow" : "block"], pattern.problem);
      return [];
    }
    if (!("allow" in rule)) return [{ decision: "block", pattern, because: rule.because }];
    const { groups = {}, clamp = {}, because, rate, budget } = rule;
    for (const name of Object.keys(groups)) requirePart(name, pattern, (message) => refuse(["groups", name], message));
    for (const name of Object.keys(clamp)) requirePart(name, pattern, (message) => refuse(["clamp", name], message));
    if (typeof budget === "object" && budget.of !== undefined) {
      requirePart(budget.of, pattern, (message) => refuse(["budget", "of"], message));
    }
    const condition = compileGroups(groups, clamp, refuse);
    if (condition === undefined) return [];
    const name = `${direction} ${pattern.source}`;
    return [{ decision: "allow", pattern, because, condition, clamp, limits: limits.limitsOf({ name, rate, budget }) }];
  });
}

function requirePart(name: string, pattern: LinePattern, refuse: (message: string) => void): void {
  if (pattern.names.includes(name)) return;
  const known = pattern.names.length === 0 ? "it names none with (?<name>…)" : `it has ${pattern.names.join(", ")}`;
  refuse(`expected a named part of the pattern: ${known}`);
}

function compileGroups(
  groups: Readonly<Record<string, JsonSchema>>,
  clamp: Clamp,
  refuse: (path: readonly string[], message: string) => void,
): ValueCondition | undefined {
  const together = compileValueCondition({ type: "object", properties: groups }, clamp);
  if (!("problem" in together)) return together;
  const problems = Object.entries(groups).flatMap(([name, schema]) => {
    const alone = compileValueCondition(schema);
    return "problem" in alone ? [{ path: ["groups", name], problem: alone.problem }] : [];
  });
  for (const { path, problem } of problems.length > 0 ? problems : [{ path: ["groups"], problem: together.problem }]) refuse(path, problem);
  return undefined;
}

/**
 * Rules from the text of a rules file; an empty one blocks everything that goes to the device.
 * @param file name for messages
 * @param limits see `FilterKind.parseRules`
 * @throws AppError `config_invalid`: it is wrong (file, line, column, field, what was expected)
 */
export function parseSerialRules(text: string, file: string, limits: LimitKeeper): CompiledSerialRules {
  return parseYamlWith(compiledRulesFile(limits), text, file);
}

/**
 * What the rules say about a message: the first rule that matches decides, else the default. An allow matches the very
 * text; a block also what a device could take for it, because devices differ and a block must hold for all of them.
 * Uses up what the rule's limits count.
 * @param text of the message, a character for each byte, without what ends it
 */
export function judgeSerial({ default: other, rules }: DirectionRules, text: string): SerialVerdict {
  for (const rule of rules) {
    if (rule.decision === "block") {
      if (!rule.pattern.matchesLoosely(text)) continue;
      return { decision: "block", rule: rule.pattern.source, because: rule.because ?? "the owner's filter rules block this message" };
    }
    const match = rule.pattern.match(text);
    if (match !== undefined) return judgeAllowed(rule, text, match);
  }
  if (other === "allow") return { decision: "allow", rule: "default", text };
  return { decision: "block", rule: "default", because: "no filter rule of the owner allows this message" };
}

function judgeAllowed(rule: CompiledSerialRule & { decision: "allow" }, text: string, match: LineMatch): SerialVerdict {
  const { pattern, condition, clamp, limits } = rule;
  const parts = readParts(match);
  const told = { rule: pattern.source, parts };
  const refuse = (because: string): SerialVerdict => ({ ...told, decision: "block", because });
  const judged = { ...parts };
  const verdict = condition.check(judged);
  if ("problem" in verdict) return refuse(rule.because === undefined ? verdict.problem : `${rule.because} (${verdict.problem})`);
  let passing = text;
  const padded = [...match].filter(([name, part]) => isPadded(part.text, parts[name]));
  if (verdict.changed !== undefined || padded.length > 0) {
    const rewritten = rewrite(text, match, parts, judged);
    const again = rewritten === undefined ? undefined : pattern.match(rewritten);
    if (rewritten !== undefined && again !== undefined && isInside(readParts(again), clamp)) passing = rewritten;
    else if (verdict.changed !== undefined || padded.some(([, part]) => countDigits(part.text) > MAX_PADDED_DIGITS)) {
      const what = verdict.changed ?? "a number without its leading zeros";
      return refuse(`${what}: with that the message does not fit the owner's pattern`);
    }
  }
  const spent = limits.take(judged);
  if (spent !== undefined) return refuse(spent);
  return { ...told, decision: "allow", text: passing, ...(verdict.changed === undefined ? {} : { because: verdict.changed }) };
}

/** A decimal number that every device reads alike, and that a double holds as it is written: no exponent, at most 15 digits. */
const PLAIN_NUMBER = /^[+-]?(?=\.?\d)(?:\d*\.?\d*)$/;
const MAX_DIGITS = 15;
/**
 * One that is written anew, without the zeros before it: GRBL counts them among the eight digits that it reads (`read_float`
 * of its nuts_bolts.c), and `strtol` with base 0 takes the rest for octal.
 */
const PADDED_NUMBER = /^[+-]?0+\d/;
/** With so many digits GRBL reads it as it is meant: it stays where the owner's pattern asks for it, as for fields of one width. */
const MAX_PADDED_DIGITS = 8;

function readParts(match: LineMatch): Record<string, string | number> {
  const parts: Record<string, string | number> = {};
  for (const [name, { text }] of match) {
    const isNumber = PLAIN_NUMBER.test(text) && countDigits(text) <= MAX_DIGITS;
    parts[name] = isNumber ? Number(text) : text;
  }
  return parts;
}

function countDigits(text: string): number {
  return text.replace(/\D/g, "").length;
}

function isPadded(text: string, value: string | number | undefined): boolean {
  return typeof value === "number" && PADDED_NUMBER.test(text);
}

/** Puts changed numbers in the place of the old ones; undefined when one stands inside another, or can't be written plainly. */
function rewrite(text: string, match: LineMatch, before: SerialParts, after: SerialParts): string | undefined {
  const isAnew = ([name, part]: [string, { text: string }]) => before[name] !== after[name] || isPadded(part.text, before[name]);
  const changed = [...match].filter(isAnew).toSorted(([, a], [, b]) => a.start - b.start);
  let rewritten = "";
  let done = 0;
  for (const [name, { start, end }] of changed) {
    const number = String(after[name]);
    if (start < done || !PLAIN_NUMBER.test(number)) return undefined;
    rewritten += text.slice(done, start) + number;
    done = end;
  }
  return rewritten + text.slice(done);
}

function isInside(parts: SerialParts, clamp: Clamp): boolean {
  return Object.entries(clamp).every(([name, [least, most]]) => {
    const number = parts[name];
    return number === undefined || (typeof number === "number" && number >= least && number <= most);
  });
}
