import type { Message, Subscription } from "../mqtt/packets.ts";
import type { CompiledMqttRule, CompiledMqttRules, MqttOperation } from "./mqtt-rules.ts";
import { PLAIN_CONDITIONS, type RecordedPayload } from "./message-conditions.ts";
import { explain } from "./request-conditions.ts";
import { covers, isOfBroker, overlap, readTopic, readTopicPattern, type TopicPattern } from "./topic-pattern.ts";

/** That a message or a subscription does not pass, and why. */
interface Blocked {
  readonly decision: "block";
  readonly rule: string;
  readonly because: string;
  /** The payload, if it was read and fits. */
  readonly recorded?: RecordedPayload;
}
/** What the rules say about one message. */
export type MessageVerdict =
  | Blocked
  | {
      readonly decision: "allow";
      readonly rule: string;
      /** The message as it may pass. */
      readonly message: Message;
      readonly recorded?: RecordedPayload;
      /** What was changed. */
      readonly changed?: string | undefined;
    };
export type SubscriptionVerdict = Blocked | { readonly decision: "allow"; readonly rule: string };

/**
 * What the rules say about a message: the first rule whose pattern stands for its topic decides.
 * @param operation `publish` of one to the broker, `subscribe` of one from it
 * @param limits `keep`: what the rule counts is not used up, because the message does not pass now
 */
export function judgeMessage(
  rules: CompiledMqttRules,
  operation: MqttOperation,
  message: Message,
  limits: "take" | "keep" = "take",
): MessageVerdict {
  const topic = readTopic(message.topic);
  const rule = rules.rules.find((each) => each.operation === operation && covers(each.pattern, topic));
  if (rule === undefined) {
    const verdict = judgeByDefault(rules, topic);
    if (verdict.decision === "block") return verdict;
    const problem = operation === "publish" ? publishProblem(PLAIN_CONDITIONS, message) : undefined;
    return problem === undefined ? { ...verdict, message } : { decision: "block", rule: "default", because: problem };
  }
  if (rule.decision === "block") return blockedBy(rule);
  return judgeByConditions(rule, operation, message, limits);
}

type AllowRule = Extract<CompiledMqttRule, { decision: "allow" }>;

function judgeByConditions(rule: AllowRule, operation: MqttOperation, message: Message, limits: "take" | "keep"): MessageVerdict {
  const { name, because, conditions } = rule;
  const block = (problem: string): Blocked => ({ decision: "block", rule: name, because: explain(problem, because) });
  const problem = operation === "publish" ? publishProblem(conditions, message) : undefined;
  if (problem !== undefined) return block(problem);
  const read = conditions.payload?.(message.payload);
  if (read !== undefined && "problem" in read) return block(read.problem);
  const spent = limits === "keep" ? undefined : conditions.limits.take(read?.value);
  if (read === undefined) return spent === undefined ? { decision: "allow", rule: name, message } : block(spent);
  const { payload, changed, recorded } = read;
  if (spent !== undefined) return { ...block(spent), recorded };
  return { decision: "allow", rule: name, message: { ...message, payload }, recorded, changed };
}

function publishProblem(conditions: typeof PLAIN_CONDITIONS, { qos, retain, properties }: Message): string | undefined {
  if (qos > conditions.maxQos) return `the owner's rule allows QoS ${conditions.maxQos} at most`;
  if (retain && !conditions.mayRetain) return "the owner's rule does not allow this message to be retained";
  return conditions.properties(properties);
}

/**
 * What the rules say about a subscription: an allow must cover all of it, a block holds when it covers any of it. A
 * shared subscription passes only by a rule with the same group.
 */
export function judgeSubscription(rules: CompiledMqttRules, { filter, qos }: Subscription): SubscriptionVerdict {
  const asked = readTopicPattern(filter);
  for (const rule of rules.rules) {
    if (rule.operation !== "subscribe") continue;
    const { name, pattern, because } = rule;
    if (rule.decision === "block") {
      if (overlap(pattern, asked)) return blockedBy(rule);
    } else if (pattern.group === asked.group && covers(pattern, asked)) {
      const { maxQos } = rule.conditions;
      if (qos <= maxQos) return { decision: "allow", rule: name };
      return { decision: "block", rule: name, because: explain(`the owner's rule allows QoS ${maxQos} at most`, because) };
    }
  }
  return judgeByDefault(rules, asked);
}

/** The default lets nothing pass that belongs to the broker, or takes messages away from others. */
function judgeByDefault(rules: CompiledMqttRules, asked: TopicPattern): SubscriptionVerdict {
  if (rules.default === "block") {
    return { decision: "block", rule: "default", because: "no filter rule of the owner allows this topic" };
  }
  if (isOfBroker(asked) || asked.group !== undefined) {
    return {
      decision: "block",
      rule: "default",
      because: "what begins with $ is the broker's own, or shared: only a filter rule of the owner that names it lets it pass",
    };
  }
  return { decision: "allow", rule: "default" };
}

function blockedBy({ name, because }: CompiledMqttRule): Blocked {
  return { decision: "block", rule: name, because: because ?? "the owner's filter rules block this topic" };
}
