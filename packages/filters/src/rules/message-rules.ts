import type { JsonSchema, MessageRules } from "@hardshare/protocol";
import { foldName } from "./fold-name.ts";
import { parseStrictJson } from "./json-text.ts";
import { LimitNames } from "./limit-names.ts";
import type { LimitKeeper, Limits } from "./limits.ts";
import { explain, type Refuse } from "./request-conditions.ts";
import type { SocketMessage } from "../websocket/relay-messages.ts";
import { compileValueCondition, type ValueCondition } from "./value-condition.ts";

/** What a rule says of a message: what passes of it, or why nothing does. */
export type MessageVerdict =
  | {
      readonly decision: "allow";
      readonly rule: string;
      readonly message: SocketMessage;
      readonly value?: unknown;
      readonly changed?: string | undefined;
    }
  | { readonly decision: "block"; readonly rule: string; readonly because: string; readonly value?: unknown };

/** Rules for messages one way. */
export interface CompiledMessageRules {
  judge(message: SocketMessage): MessageVerdict;
}

type RuleOfMessages = MessageRules["rules"][number];
type Pattern = Extract<RuleOfMessages, { allow: unknown }>["allow"];

interface CompiledRule {
  readonly decision: "allow" | "block";
  readonly name: string;
  readonly pattern: Pattern;
  readonly because: string | undefined;
  readonly condition: ValueCondition | undefined;
  readonly limits: Limits | undefined;
}

interface MessageRulesOptions {
  /** `in` to the device, `out` from it. */
  readonly direction: "in" | "out";
  /** The pattern of the rule that the messages belong to, such as `WS /api/events`. */
  readonly of: string;
  readonly limits: LimitKeeper;
  readonly refuse: Refuse;
}

/** Compiles the rules for messages one way. What is wrong with them goes to `refuse`. */
export function compileMessageRules(source: MessageRules, options: MessageRulesOptions): CompiledMessageRules {
  const { direction } = options;
  const names = new LimitNames();
  const rules = source.rules.flatMap((rule, index) => compileRule(rule, index, names, options));
  const looksInto = rules.some(({ pattern, condition }) => typeof pattern === "object" || pattern === "json" || condition !== undefined);
  const fallback = `${options.of} ${direction}: default`;
  return {
    judge(message) {
      const json = looksInto && typeof message === "string" ? readJson(message, direction) : undefined;
      if (json !== undefined && "problem" in json) return { decision: "block", rule: "strict", because: json.problem };
      for (const rule of rules) {
        if (matches(rule, message, json)) return decide(rule, message, json);
        if (isUnseenBy(rule, message)) {
          return { decision: "block", rule: "strict", because: "these bytes hold JSON, which the owner's filter rules block in texts" };
        }
      }
      if (source.default === "allow") return { decision: "allow", rule: fallback, ...passOn(message, json) };
      return { decision: "block", rule: fallback, because: "no filter rule of the owner allows this message", ...json };
    },
  };
}

function compileRule(
  rule: RuleOfMessages,
  index: number,
  names: LimitNames,
  { direction, of, limits, refuse }: MessageRulesOptions,
): CompiledRule[] {
  const isAllow = "allow" in rule;
  const pattern = isAllow ? rule.allow : rule.block;
  const name = `${of} ${direction}: ${typeof pattern === "string" ? pattern : JSON.stringify(pattern)}`;
  const plain = {
    decision: isAllow ? "allow" : "block",
    name,
    pattern,
    because: rule.because,
    condition: undefined,
    limits: undefined,
  } as const;
  if (!isAllow) return [plain];
  const { body, clamp, rate, budget } = rule;
  if ((body ?? clamp) !== undefined && pattern === "binary") {
    refuse(
      [direction, "rules", index, body === undefined ? "clamp" : "body"],
      "expected no condition on a binary message, which is not looked into",
    );
  }
  const schema: JsonSchema | undefined = body ?? (clamp === undefined ? undefined : true);
  const condition = schema === undefined ? undefined : compileValueCondition(schema, clamp);
  if (condition !== undefined && "problem" in condition) {
    refuse([direction, "rules", index, condition.of === "clamp" ? "clamp" : "body", ...condition.path], condition.problem);
    return [];
  }
  const nameOfLimits = names.next(name);
  const isLimited = rate !== undefined || budget !== undefined;
  return [{ ...plain, condition, limits: isLimited ? limits.limitsOf({ name: nameOfLimits, rate, budget }) : undefined }];
}

/**
 * The JSON value of a text; undefined when it holds none. What looks like JSON must be it strictly on the way to the
 * device, because some parsers also read what is nearly JSON.
 */
function readJson(text: string, direction: "in" | "out"): { value: unknown } | { problem: string } | undefined {
  const read = parseStrictJson(text);
  if ("value" in read) return read;
  if (direction === "in") return /^[\s\uFEFF]*[[{]/.test(text) ? read : undefined;
  try {
    return { value: JSON.parse(text) as unknown }; // it is written anew, so that there is one way to read it
  } catch {
    return undefined;
  }
}

/** Whether a block looks for JSON in texts only, and a device that does not tell texts from bytes would find it in these. */
function isUnseenBy({ decision, pattern }: CompiledRule, message: SocketMessage): boolean {
  if (decision === "allow" || pattern === "text" || pattern === "binary" || typeof message === "string") return false;
  const text = message.toString("utf8").replace(/^\uFEFF/, "");
  if (!/^\s*[[{]/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function matches({ pattern, decision }: CompiledRule, message: SocketMessage, json: { value: unknown } | undefined): boolean {
  if (pattern === "binary") return typeof message !== "string";
  if (pattern === "text") return typeof message === "string";
  if (json === undefined) return false;
  if (pattern === "json") return true;
  const { value } = json;
  if (typeof value !== "object" || value === null) return false;
  if (decision === "allow") {
    const fields = value as Record<string, unknown>;
    return Object.entries(pattern).every(([name, wanted]) => Object.hasOwn(fields, name) && fields[name] === wanted);
  }
  // A block holds for devices that ignore letter case and blanks too, or take a list of messages for each of them.
  return (Array.isArray(value) ? value : [value]).some((each: unknown) => isLike(each, pattern));
}

function isLike(value: unknown, pattern: Exclude<Pattern, string>): boolean {
  if (typeof value !== "object" || value === null) return false;
  const folded = new Map(Object.entries(value).map(([name, each]) => [foldText(name), fold(each)]));
  return Object.entries(pattern).every(([name, wanted]) => folded.has(foldText(name)) && folded.get(foldText(name)) === fold(wanted));
}

const fold = (value: unknown) => (typeof value === "string" ? foldText(value) : value);
const foldText = (text: string) => foldName(text.trim());

function decide(rule: CompiledRule, message: SocketMessage, json: { value: unknown } | undefined): MessageVerdict {
  const { name, because, condition, limits } = rule;
  const block = (problem: string): MessageVerdict => ({ decision: "block", rule: name, because: explain(problem, because), ...json });
  if (rule.decision === "block") {
    return { decision: "block", rule: name, because: because ?? "the owner's filter rules block this message", ...json };
  }
  let changed: string | undefined;
  if (condition !== undefined) {
    if (json === undefined) return block("expected a JSON message");
    const verdict = condition.check(json.value);
    if ("problem" in verdict) return block(verdict.problem);
    changed = verdict.changed;
  }
  const problem = limits?.take(json?.value);
  if (problem !== undefined) return block(problem);
  return { decision: "allow", rule: name, changed, ...passOn(message, json) };
}

/** JSON is written anew from what was parsed. */
function passOn(message: SocketMessage, json: { value: unknown } | undefined): { message: SocketMessage; value?: unknown } {
  return json === undefined ? { message } : { message: JSON.stringify(json.value), value: json.value };
}
