import { type MqttAllowRule, MqttFilterRules } from "@hardshare/protocol";
import { parseYamlWith } from "@hardshare/runtime";
import type { LimitKeeper } from "./limits.ts";
import { compileMessageConditions, type MessageConditions } from "./message-conditions.ts";
import type { Refuse } from "./request-conditions.ts";
import { compileTopicPattern, type TopicPattern } from "./topic-pattern.ts";

/** The rules of one `mqtt` filter, ready to judge. */
export interface CompiledMqttRules extends Pick<MqttFilterRules, "mode" | "default"> {
  /** Most bytes of a packet. */
  readonly packetLimitBytes: number;
  readonly rules: readonly CompiledMqttRule[];
}

/** `publish` to the broker; `subscribe` for what comes from it. */
export type MqttOperation = "publish" | "subscribe";

export type CompiledMqttRule = {
  readonly operation: MqttOperation;
  /** As in the file, for decisions. */
  readonly name: string;
  readonly pattern: TopicPattern;
  readonly because: string | undefined;
} & ({ readonly decision: "block" } | { readonly decision: "allow"; readonly conditions: MessageConditions });

/**
 * Rules from the text of a rules file; an empty one blocks everything.
 * @param file name for messages
 * @param limits see `FilterKind.parseRules`
 * @throws AppError `config_invalid`: it is wrong (file, line, column, field, what was expected)
 */
export function parseMqttRules(text: string, file: string, limits: LimitKeeper): CompiledMqttRules {
  return parseYamlWith(compiledRulesFile(limits), text, file);
}

function compiledRulesFile(limits: LimitKeeper) {
  return MqttFilterRules.transform((file, context): CompiledMqttRules => {
    const rules = file.rules.flatMap((rule, index) => {
      const refuse: Refuse = (path, message) => context.addIssue({ code: "custom", path: ["rules", index, ...path], message });
      return compileRule(rule, limits, refuse);
    });
    return { mode: file.mode, default: file.default, packetLimitBytes: file.packet_limit, rules };
  });
}

type Rule = MqttFilterRules["rules"][number];

function compileRule(rule: Rule, limits: LimitKeeper, refuse: Refuse): CompiledMqttRule[] {
  const name = "allow" in rule ? rule.allow : rule.block;
  const operation = name.startsWith("publish ") ? "publish" : "subscribe";
  const filter = name.slice(operation.length + 1);
  const pattern = compileTopicPattern(filter);
  if ("problem" in pattern) {
    refuse(["allow" in rule ? "allow" : "block"], pattern.problem);
    return [];
  }
  if (operation === "publish" && pattern.group !== undefined) {
    refuse(["allow" in rule ? "allow" : "block"], "expected no $share: only a subscription is shared");
  }
  const shared = { operation, name, pattern, because: rule.because } as const;
  if (!("allow" in rule)) return [{ ...shared, decision: "block" }];
  if (operation === "subscribe") refusePublishFields(rule, refuse);
  const conditions = compileMessageConditions(rule, limits, refuse);
  return conditions === undefined ? [] : [{ ...shared, decision: "allow", conditions }];
}

function refusePublishFields(rule: MqttAllowRule, refuse: Refuse): void {
  for (const field of ["response_topic", "content_type", "user_properties"] as const) {
    if (rule[field] !== undefined) refuse([field], "expected it with `allow: publish` only");
  }
  if (rule.retain) refuse(["retain"], "expected it with `allow: publish` only: what the broker retained comes like any other message");
}
