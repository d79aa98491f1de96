import { type TcpAllowRule, TcpFilterRules } from "@hardshare/protocol";
import { parseYamlWith } from "@hardshare/runtime";
import type { LimitKeeper, Limits } from "./limits.ts";
import { compilePeerPattern, type PeerPattern } from "./peer-pattern.ts";
import type { Refuse } from "./request-conditions.ts";

/** The rules of one `tcp` filter, ready to judge. */
export interface CompiledTcpRules extends Pick<TcpFilterRules, "default" | "mode"> {
  readonly rules: readonly CompiledTcpRule[];
}

type CompiledTcpRule = TcpAllow | { readonly decision: "block"; readonly pattern: PeerPattern; readonly because: string | undefined };

/** A rule that lets connections through, and how much of them. */
export interface TcpAllow {
  readonly decision: "allow";
  readonly pattern: PeerPattern;
  readonly because: string | undefined;
  /** Most connections at the same time. */
  readonly atOnce: number;
  readonly idleMs: number | undefined;
  /** Of all its connections together, towards the device and from it. */
  readonly bytesPerSecond: { readonly in: number | undefined; readonly out: number | undefined };
  readonly limits: Limits | undefined;
}

/**
 * Rules from the text of a rules file; an empty one blocks everything.
 * @param file name for messages
 * @param limits see `FilterKind.parseRules`
 * @throws AppError `config_invalid`: it is wrong (file, line, column, field, what was expected)
 */
export function parseTcpRules(text: string, file: string, limits: LimitKeeper): CompiledTcpRules {
  const compiled = TcpFilterRules.transform((source, context): CompiledTcpRules => {
    const rules = source.rules.flatMap((rule, index): CompiledTcpRule[] => {
      const refuse: Refuse = (path, message) => context.addIssue({ code: "custom", path: ["rules", index, ...path], message });
      const decision = "allow" in rule ? "allow" : "block";
      const pattern = compilePeerPattern("allow" in rule ? rule.allow : rule.block);
      if ("problem" in pattern) {
        refuse([decision], pattern.problem);
        return [];
      }
      return ["allow" in rule ? compileAllow(rule, pattern, limits, refuse) : { decision: "block", pattern, because: rule.because }];
    });
    return { default: source.default, mode: source.mode, rules };
  });
  return parseYamlWith(compiled, text, file);
}

function compileAllow(rule: TcpAllowRule, pattern: PeerPattern, limits: LimitKeeper, refuse: Refuse): TcpAllow {
  const { rate, budget, idle, at_once: atOnce = Number.POSITIVE_INFINITY, bytes_per_second: speed, because } = rule;
  if (typeof budget === "object" && budget.of !== undefined) {
    refuse(["budget", "of"], "expected none, because a connection has no number in it: a budget counts connections");
  }
  const isLimited = rate !== undefined || budget !== undefined;
  return {
    decision: "allow",
    pattern,
    because,
    atOnce,
    idleMs: idle === undefined ? undefined : idle * 1000,
    bytesPerSecond: { in: speed?.in, out: speed?.out },
    limits: isLimited ? limits.limitsOf({ name: pattern.source, rate, budget }) : undefined,
  };
}

/** What the rules say about a connection, but for limits. An allow without `matched` is the default's, and knows no bounds. */
export type TcpVerdict =
  | { readonly decision: "allow"; readonly rule: string; readonly matched: TcpAllow | undefined }
  | { readonly decision: "block"; readonly rule: string; readonly because: string };

/**
 * The first rule whose pattern matches the peer decides, else the default.
 * @param countOthers how many other connections the rule has that decides
 */
export function judgePeer({ default: other, rules }: CompiledTcpRules, address: string, countOthers: (rule: string) => number): TcpVerdict {
  const matched = rules.find(({ pattern }) => pattern.matches(address));
  if (matched === undefined) {
    if (other === "allow") return { decision: "allow", rule: "default", matched };
    return { decision: "block", rule: "default", because: "no filter rule of the owner allows connections of this peer" };
  }
  const { because, pattern } = matched;
  const rule = pattern.source;
  if (matched.decision === "block") return { decision: "block", rule, because: because ?? "the owner's filter rules block this peer" };
  if (countOthers(rule) < matched.atOnce) return { decision: "allow", rule, matched };
  return { decision: "block", rule, because: `the owner allows ${matched.atOnce} of these connections at the same time` };
}
