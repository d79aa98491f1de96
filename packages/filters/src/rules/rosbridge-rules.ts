import { type JsonSchema, type RosbridgeAllowRule, RosbridgeFilterRules } from "@hardshare/protocol";
import { parseYamlWith } from "@hardshare/runtime";
import { compilePlace, type JsonPlace } from "./json-place.ts";
import { LimitNames } from "./limit-names.ts";
import type { LimitKeeper, Limits } from "./limits.ts";
import { compilePathTemplate, matchesLoosely, type PathTemplate } from "./path-template.ts";
import type { Refuse } from "./request-conditions.ts";
import { fitsAllowed, hasReservedPart, readRosType } from "./ros-names.ts";
import { compileValueCondition, type ValueCondition } from "./value-condition.ts";

/** What rules are about; other operations follow these. */
export type RuledOperation = "publish" | "subscribe" | "call_service" | "send_action_goal" | "cancel_action_goal";

/** The rules of one `rosbridge` filter, ready to judge. */
export interface CompiledRosbridgeRules extends Pick<RosbridgeFilterRules, "default" | "mode"> {
  readonly rules: readonly CompiledRosbridgeRule[];
}

/** One rule, compiled. */
export interface CompiledRosbridgeRule {
  readonly decision: "allow" | "block";
  /** As its owner wrote it, such as `publish /cmd_vel`. */
  readonly pattern: string;
  readonly operation: RuledOperation;
  readonly name: PathTemplate;
  readonly because: string | undefined;
  /** As its owner wrote it. */
  readonly type: string | undefined;
  readonly condition: ValueCondition | undefined;
  readonly limits: Limits | undefined;
  /** What is left out of what comes back. */
  readonly removed: readonly JsonPlace[];
}

/**
 * Rules from the text of a rules file; an empty one blocks everything.
 * @param file name for messages
 * @throws AppError `config_invalid`: it is wrong (file, line, column, field, what was expected)
 */
export function parseRosbridgeRules(text: string, file: string, limits: LimitKeeper): CompiledRosbridgeRules {
  const compiled = RosbridgeFilterRules.transform((source, context): CompiledRosbridgeRules => {
    const refuse: Refuse = (path, message) => context.addIssue({ code: "custom", path: [...path], message });
    return { default: source.default, mode: source.mode, rules: compileRules(source.rules, limits, refuse) };
  });
  return parseYamlWith(compiled, text, file);
}

function compileRules(source: RosbridgeFilterRules["rules"], limits: LimitKeeper, refuse: Refuse): CompiledRosbridgeRule[] {
  const names = new LimitNames();
  return source.flatMap((rule, index): CompiledRosbridgeRule[] => {
    const refuseField: Refuse = (path, message) => refuse(["rules", index, ...path], message);
    const decision = "allow" in rule ? "allow" : "block";
    const pattern = "allow" in rule ? rule.allow : rule.block;
    const [operation = "", text = ""] = pattern.split(" ");
    const name = compileName(text);
    if ("problem" in name) {
      refuseField([decision], name.problem);
      return [];
    }
    const plain = { decision, pattern, operation: operation as RuledOperation, name, because: rule.because } as const;
    if (!("allow" in rule)) return [{ ...plain, type: undefined, condition: undefined, limits: undefined, removed: [] }];
    refuseMisplaced(rule, plain.operation, refuseField);
    const { type, message, clamp, rate, budget, remove = [] } = rule;
    const schema: JsonSchema | undefined = message ?? (clamp === undefined ? undefined : true);
    const condition = schema === undefined ? undefined : compileValueCondition(schema, clamp);
    if (condition !== undefined && "problem" in condition) {
      refuseField([condition.of === "clamp" ? "clamp" : "message", ...condition.path], condition.problem);
      return [];
    }
    const nameOfLimits = names.next(pattern);
    const isLimited = rate !== undefined || budget !== undefined;
    return [
      {
        ...plain,
        type,
        condition,
        limits: isLimited ? limits.limitsOf({ name: nameOfLimits, rate, budget }) : undefined,
        removed: remove.map(compilePlace),
      },
    ];
  });
}

function compileName(text: string): PathTemplate | { readonly problem: string } {
  const name = compilePathTemplate(text);
  if ("problem" in name) return name;
  const wrong = name.segments.find((segment) => "text" in segment && !/^[A-Za-z_][A-Za-z0-9_]*$/.test(segment.text));
  return wrong === undefined ? name : { problem: "expected letters, digits and _ in each part of the name, and no digit at its beginning" };
}

/** Conditions on what an operation does not have would never hold, or never be looked at. */
function refuseMisplaced(rule: RosbridgeAllowRule, operation: RuledOperation, refuse: Refuse): void {
  const hasMessage = operation !== "subscribe" && operation !== "cancel_action_goal";
  for (const field of ["message", "clamp"] as const) {
    if (rule[field] !== undefined && !hasMessage) refuse([field], `expected none, because ${operation} carries no message to the device`);
  }
  if (typeof rule.budget === "object" && rule.budget.of !== undefined && !hasMessage) {
    refuse(["budget", "of"], `expected none, because ${operation} carries no number to the device`);
  }
  const hasAnswer = operation !== "publish" && operation !== "cancel_action_goal";
  if (rule.remove !== undefined && !hasAnswer) refuse(["remove"], `expected none, because nothing comes back for ${operation}`);
  if (rule.type !== undefined && operation === "cancel_action_goal") refuse(["type"], "expected none, because cancelling names no type");
}

/** What the rules say about an operation by its name alone. */
export type RosbridgeMatch =
  | { readonly decision: "allow"; readonly rule: string; readonly matched: CompiledRosbridgeRule | undefined }
  | { readonly decision: "block"; readonly rule: string; readonly because: string };

/**
 * The first rule whose pattern matches, else the default; the conditions of an allow are still to be judged. An allow
 * matches only the very name, and reserved names only where it writes them out; a block also other letter case.
 * @param parts of the name
 */
export function matchRosbridge(rules: CompiledRosbridgeRules, operation: RuledOperation, parts: readonly string[]): RosbridgeMatch {
  for (const rule of rules.rules) {
    if (rule.decision === "allow") {
      const isMeant = rule.operation === operation || (operation === "cancel_action_goal" && rule.operation === "send_action_goal");
      if (isMeant && fitsAllowed(rule.name, parts)) return { decision: "allow", rule: rule.pattern, matched: rule };
    } else if (rule.operation === operation && matchesLoosely(rule.name, parts)) {
      return { decision: "block", rule: rule.pattern, because: rule.because ?? "the owner's filter rules block this operation" };
    }
  }
  if (rules.default === "block")
    return { decision: "block", rule: "default", because: "no filter rule of the owner allows this operation" };
  if (!hasReservedPart(parts)) return { decision: "allow", rule: "default", matched: undefined };
  return { decision: "block", rule: "default", because: "this name passes only by a filter rule of the owner that writes it out" };
}

/** Why an operation that names this type does not pass the rule; a type that is not named, or by no rule, passes. */
export function findTypeProblem(rule: CompiledRosbridgeRule | undefined, type: string | undefined): string | undefined {
  if (rule?.type === undefined || type === undefined || readRosType(type) === readRosType(rule.type)) return undefined;
  return `type: expected ${rule.type}`;
}
