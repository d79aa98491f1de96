import { MAX_DECISION_REASON_CHARS } from "@hardshare/protocol";

/** What a client sent, as far as it could be read. */
interface Refused {
  readonly op?: unknown;
  readonly id?: unknown;
  readonly name?: unknown;
  readonly service?: unknown;
  readonly action?: unknown;
}

/**
 * Says to a client why an operation was refused, as rosbridge says that one failed: a status message, and for a call or a
 * goal also the answer that its sender waits for.
 */
export function tellRefusal(refused: Refused, rule: string, reason: string): string[] {
  const because = reason.slice(0, MAX_DECISION_REASON_CHARS); // it may hold names that the client made up
  const words = `refused by filter: ${because} (rule ${rule})`;
  const id = typeof refused.id === "string" || typeof refused.id === "number" ? { id: refused.id } : {};
  const status = JSON.stringify({ op: "status", level: "error", msg: words, rule, because, ...id });
  if (refused.op === "call_service") {
    const service = textOf(refused.name ?? refused.service);
    return [status, JSON.stringify({ op: "service_response", service, values: words, result: false, ...id })];
  }
  if (refused.op === "send_action_goal") {
    const action = textOf(refused.name ?? refused.action);
    return [status, JSON.stringify({ op: "action_result", action, values: words, status: STATUS_UNKNOWN, result: false, ...id })];
  }
  return [status];
}

/** Of action_msgs/GoalStatus. */
const STATUS_UNKNOWN = 0;

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
