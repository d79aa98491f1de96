import { type FilterDirection, MAX_DECISION_SUMMARY_CHARS } from "@hardshare/protocol";
import type { WebSocket } from "ws";
import { type CompiledHttpRules, matchHttp, type SocketRules } from "../rules/http-rules.ts";
import type { MessageVerdict } from "../rules/message-rules.ts";
import { relayMessages, type SocketMessage, type SocketPassage } from "../websocket/relay-messages.ts";
import type { FilterContext } from "./serve-request.ts";

interface SocketRelayOptions {
  readonly context: FilterContext;
  readonly client: WebSocket;
  readonly device: WebSocket;
  /** Decoded segments of the path. */
  readonly path: readonly string[];
  /** The request by which it began, in short. */
  readonly summary: string;
}

/** The messages of a WebSocket, both ways: each is judged by the rules that are in force when it has come whole. */
export function relaySocket(options: SocketRelayOptions): void {
  const judge = new SocketJudge(options);
  relayMessages({
    client: options.client,
    device: options.device,
    judge: (direction, message) => judge.judge(direction, message),
    onBroken: (direction, error) => judge.refuseBroken(direction, error),
  });
}

class SocketJudge {
  readonly #options: SocketRelayOptions;
  #judged: { readonly rules: CompiledHttpRules; readonly name: string; readonly socket: SocketRules | undefined } | undefined;

  constructor(options: SocketRelayOptions) {
    this.#options = options;
  }

  refuseBroken(direction: FilterDirection, error: Error): void {
    const because = `the WebSocket broke: ${error.message}`;
    this.#decide(direction, { decision: "block", rule: "strict", because }, this.#options.summary);
  }

  judge(direction: FilterDirection, message: SocketMessage): SocketPassage {
    const rules = this.#options.context.rules.current;
    const verdict = this.#judge(rules, direction, message);
    this.#decide(direction, verdict, summarise(this.#options.summary, message));
    if (rules.mode === "shadow") return { onward: message };
    if (verdict.decision === "allow") return { onward: verdict.message };
    if (direction === "out") return {};
    const { rule, because } = verdict;
    return { back: [JSON.stringify({ error: "refused by filter", rule, because })] };
  }

  #judge(rules: CompiledHttpRules, direction: FilterDirection, message: SocketMessage): MessageVerdict {
    if (this.#judged?.rules !== rules) {
      const match = matchHttp(rules, "WS", this.#options.path);
      if (match.decision === "block") return { decision: "block", rule: match.rule, because: match.because };
      this.#judged = { rules, name: match.rule, socket: match.matched?.socket };
    }
    const { name, socket } = this.#judged;
    return socket?.[direction]?.judge(message) ?? { decision: "allow", rule: `${name} ${direction}: any`, message };
  }

  #decide(
    direction: FilterDirection,
    verdict: MessageVerdict | { decision: "block"; rule: string; because: string },
    summary: string,
  ): void {
    const { context, path } = this.#options;
    const because = verdict.decision === "block" ? verdict.because : verdict.changed;
    context.onDecision({
      direction,
      mode: context.rules.current.mode,
      decision: verdict.decision,
      rule: verdict.rule,
      summary,
      ...(because === undefined ? {} : { because }),
      message: { method: "WS", path: `/${path.map(encodeURIComponent).join("/")}`, ...("value" in verdict ? { body: verdict.value } : {}) },
    });
  }
}

function summarise(summary: string, message: SocketMessage): string {
  const text = `${summary.replace(/^GET /, "WS ").slice(0, MAX_DECISION_SUMMARY_CHARS / 2)} ${typeof message === "string" ? message.slice(0, MAX_DECISION_SUMMARY_CHARS) : `${message.length} bytes`}`;
  return text.length > MAX_DECISION_SUMMARY_CHARS ? `${text.slice(0, MAX_DECISION_SUMMARY_CHARS - 1)}…` : text;
}
