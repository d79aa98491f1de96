import { MAX_DECISION_SUMMARY_CHARS } from "@hardshare/protocol";
import type { WebSocket } from "ws";
import { type CompiledHttpRules, matchHttp, type SocketRules } from "../rules/http-rules.ts";
import type { MessageVerdict, SocketMessage } from "../rules/message-rules.ts";
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

type Direction = "in" | "out";

/** When this much waits to be taken by one side, nothing more is read from the other. */
const FULL_BYTES = 1024 ** 2;
/** What a close may say (RFC 6455 §7.4); the others are for what was not said. */
const isSayable = (code: number) => (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code <= 4999);

/**
 * The messages of a WebSocket, both ways: each is judged when it has come whole, and written anew. Pings are answered on
 * each side, and do not pass.
 */
export function relayMessages(options: SocketRelayOptions): void {
  const relay = new SocketRelay(options);
  relay.start();
}

class SocketRelay {
  readonly #options: SocketRelayOptions;
  #judged: { readonly rules: CompiledHttpRules; readonly name: string; readonly socket: SocketRules | undefined } | undefined;

  constructor(options: SocketRelayOptions) {
    this.#options = options;
  }

  start(): void {
    const { client, device } = this.#options;
    this.#relay(client, device, "in");
    this.#relay(device, client, "out");
  }

  #relay(from: WebSocket, to: WebSocket, direction: Direction): void {
    from.on("message", (data: Buffer, isBinary) => this.#pass({ from, to, direction }, isBinary ? data : data.toString("utf8")));
    from.on("error", (error) => {
      // The library has told its sender, and closes.
      this.#decide(
        direction,
        { decision: "block", rule: "strict", because: `the WebSocket broke: ${error.message}` },
        this.#options.summary,
      );
    });
    from.once("close", (code, reason) => {
      if (code === 1006) to.terminate();
      else if (isSayable(code)) to.close(code, direction === "out" ? reason : undefined);
      else to.close();
    });
  }

  #pass({ from, to, direction }: { from: WebSocket; to: WebSocket; direction: Direction }, message: SocketMessage): void {
    const rules = this.#options.context.rules.current;
    const verdict = this.#judge(rules, direction, message);
    this.#decide(direction, verdict, summarise(this.#options.summary, message));
    if (verdict.decision === "allow" || rules.mode === "shadow") {
      const passes = verdict.decision === "allow" && rules.mode === "enforce" ? verdict.message : message;
      this.#send(from, to, passes);
    } else if (direction === "in") {
      const { rule, because } = verdict;
      this.#send(from, from, JSON.stringify({ error: "refused by filter", rule, because }));
    }
  }

  #judge(rules: CompiledHttpRules, direction: Direction, message: SocketMessage): MessageVerdict {
    if (this.#judged?.rules !== rules) {
      const match = matchHttp(rules, "WS", this.#options.path);
      if (match.decision === "block") return { decision: "block", rule: match.rule, because: match.because };
      this.#judged = { rules, name: match.rule, socket: match.matched?.socket };
    }
    const { name, socket } = this.#judged;
    return socket?.[direction]?.judge(message) ?? { decision: "allow", rule: `${name} ${direction}: any`, message };
  }

  /** Sends, and reads no more from `from` until `to` has taken most of what waits for it. */
  #send(from: WebSocket, to: WebSocket, message: SocketMessage): void {
    to.send(message, { binary: typeof message !== "string" }, () => {
      if (from.isPaused && to.bufferedAmount < FULL_BYTES / 2) from.resume();
    });
    if (to.bufferedAmount > FULL_BYTES) from.pause();
  }

  #decide(direction: Direction, verdict: MessageVerdict | { decision: "block"; rule: string; because: string }, summary: string): void {
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
