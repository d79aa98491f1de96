import { judgeMessage } from "../rules/judge-mqtt.ts";
import type { CompiledMqttRules } from "../rules/mqtt-rules.ts";
import type { Judgement } from "../run/filter-kind.ts";
import { Reason } from "./malformed.ts";
import type { ConnectPacket } from "./packets.ts";
import { recordMessage, summariseMessage } from "./summary.ts";

/** What is decided about a CONNECT. */
export interface ConnectVerdict {
  readonly judgement: Judgement;
  /** Why the client is not let in; undefined when it is. */
  readonly refusal?: { readonly reasonCode: number; readonly because: string };
}

/**
 * Judges a CONNECT. Its will is judged as the publish that it is, but uses up no limits yet: it is judged again when it is
 * sent. It is no sign of the user, because programs connect again by themselves, for as long as they are turned away.
 */
export function judgeConnect(rules: CompiledMqttRules, { version, properties, will }: ConnectPacket): ConnectVerdict {
  const { mode } = rules;
  const by = { direction: "in", isSign: false } as const;
  const summary = `connect, version ${version === 4 ? "3.1.1" : "5"}`;
  if (properties.authenticationMethod !== undefined) {
    const because = "the filter makes itself known to the broker, and passes on no authentication of the client's";
    return {
      judgement: { ...by, rule: "strict", decision: "block", mode: "enforce", summary, because },
      refusal: { reasonCode: Reason.BAD_AUTHENTICATION_METHOD, because },
    };
  }
  if (will === undefined) {
    return { judgement: { ...by, rule: "connect", decision: "allow", mode, summary, message: { connect: version } } };
  }
  const verdict = judgeMessage(rules, "publish", will, "keep");
  const told = {
    ...by,
    rule: verdict.rule,
    mode,
    summary: `${summary}, ${summariseMessage("will", will)}`,
    message: recordMessage(will, verdict.recorded),
  } as const;
  if (verdict.decision === "allow") return { judgement: { ...told, decision: "allow" } };
  const { because } = verdict;
  return {
    judgement: { ...told, decision: "block", because },
    ...(mode === "shadow" ? {} : { refusal: { reasonCode: Reason.NOT_AUTHORIZED, because: `the will: ${because}` } }),
  };
}
