import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { MAX_DECISION_SUMMARY_CHARS } from "@hardshare/protocol";
import type { Clock, Logger } from "@hardshare/runtime";
import { type CompiledHttpRules, judgeHttp } from "../rules/http-rules.ts";
import type { LiveRules } from "../rules/live-rules.ts";
import type { Judgement } from "../run/filter-kind.ts";
import { type DeviceAddress, DeviceConnection } from "./device-connection.ts";
import { answerAndClose, closeGently } from "./refusal.ts";
import { inspectRequest } from "./strict-request.ts";

/** What every connection of a filter shares. */
export interface FilterContext {
  readonly device: DeviceAddress;
  readonly rules: LiveRules<CompiledHttpRules>;
  readonly onDecision: (judgement: Judgement) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Requests that a client may send ahead of their answers, or after the last one; one more drops the connection. */
const MAX_UNANSWERED_REQUESTS = 64;

type Turn =
  | { readonly kind: "request"; readonly incoming: IncomingMessage; readonly response: ServerResponse }
  | { readonly kind: "malformed"; readonly status: number; readonly because: string };

/**
 * One client connection: its requests are judged and forwarded one after the other, in the order in which they came.
 * After a refusal or an error nothing that follows on this connection is looked at.
 */
export class ClientConnection {
  readonly #socket: Socket;
  readonly #context: FilterContext;
  readonly #device: DeviceConnection;
  readonly #gone = new AbortController();
  /** The first is being served. */
  #turns: Turn[] = [];
  #isClosing = false;
  #ignored = 0;

  constructor(socket: Socket, context: FilterContext) {
    this.#socket = socket;
    this.#context = context;
    this.#device = new DeviceConnection(context.device, context.clock);
    socket.on("error", () => {}); // "close" follows
    const leave = () => this.#beginClosing();
    socket.once("end", leave);
    socket.once("close", leave);
  }

  /** A request whose head has been parsed. */
  accept(incoming: IncomingMessage, response: ServerResponse): void {
    incoming.on("error", () => {}); // the socket's "close" follows
    this.#enqueue({ kind: "request", incoming, response });
  }

  /** Bytes came that the parser refuses. They are answered in their turn, or end the request whose body they broke. */
  refuseMalformed(status: number, because: string): void {
    const last = this.#turns.at(-1);
    if (last?.kind !== "request" || last.incoming.complete) {
      this.#enqueue({ kind: "malformed", status, because });
      return;
    }
    this.#turns.pop();
    if (this.#turns.length > 0) {
      this.#enqueue({ kind: "malformed", status, because });
    } else {
      // It was allowed, and is on its way: this decision ends it.
      const ending = `ends the request that was allowed: ${because}`;
      const summary = summarise(last.incoming);
      if (!last.response.headersSent) return this.#refuse(status, "strict", ending, summary);
      this.#decide({ rule: "strict", decision: "block", summary, because: ending });
      this.#socket.destroy();
    }
  }

  /** A CONNECT request, after which Node's parser has let go of the socket. */
  refuseTunnel(): void {
    if (this.#turns.length > 0) {
      this.drop(); // nothing writes the answers before it any more
      return;
    }
    this.#socket.resume();
    this.refuseMalformed(400, "the method CONNECT is never passed on");
  }

  /** Drops the connection, and with it what is on its way to the device. */
  drop(): void {
    this.#socket.destroy();
  }

  #enqueue(turn: Turn): void {
    if (this.#isClosing) {
      discard(turn);
      this.#ignored += 1;
      if (this.#ignored > MAX_UNANSWERED_REQUESTS) this.drop();
    } else if (this.#turns.length > MAX_UNANSWERED_REQUESTS) {
      this.drop();
    } else if (this.#turns.push(turn) === 1) {
      void this.#serve();
    }
  }

  async #serve(): Promise<void> {
    for (let turn = this.#turns[0]; turn !== undefined && !this.#isClosing; turn = this.#turns[0]) {
      try {
        if (turn.kind === "malformed") this.#refuse(turn.status, "strict", turn.because, "malformed request");
        else await this.#serveRequest(turn.incoming, turn.response);
      } catch (error) {
        this.#context.logger.error("a request could not be handled: its connection is closed", { error });
        this.drop();
        return;
      }
      if (this.#turns[0] === turn) this.#turns.shift();
    }
  }

  async #serveRequest(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const summary = summarise(incoming);
    const hasBody = incoming.method !== "HEAD";
    const request = inspectRequest(incoming);
    if ("problem" in request) {
      this.#refuse(400, "strict", request.problem, summary, hasBody);
      return;
    }
    const verdict = judgeHttp(this.#context.rules.current, request.method, request.path);
    if (verdict.decision === "block") {
      this.#refuse(403, verdict.rule, verdict.because, summary, hasBody);
      return;
    }
    if (request.wantsUpgrade) {
      this.#refuse(403, verdict.rule, "this filter passes on no upgrade to another protocol", summary, hasBody);
      return;
    }
    this.#decide({ rule: verdict.rule, decision: "allow", summary });
    const result = await this.#device.forward(request, incoming, response, this.#gone.signal);
    if (this.#isClosing || result === "done") return;
    if (result === "broken") {
      this.drop();
    } else if (result === "close") {
      this.#beginClosing();
      closeGently(this.#socket, this.#context.clock);
    } else {
      this.#context.logger.warn("the device could not be asked", { summary, because: result.because });
      this.#beginClosing();
      const error = result.status === 504 ? "device timed out" : "device unreachable";
      answerAndClose(this.#socket, { status: result.status, body: { error, because: result.because } }, hasBody, this.#context.clock);
    }
  }

  #refuse(status: number, rule: string, because: string, summary: string, hasBody = true): void {
    this.#decide({ rule, decision: "block", summary, because });
    this.#beginClosing();
    answerAndClose(this.#socket, { status, body: { error: "refused by filter", rule, because } }, hasBody, this.#context.clock);
  }

  #decide(judgement: Pick<Judgement, "rule" | "decision" | "summary" | "because">): void {
    this.#context.onDecision({ direction: "in", mode: "enforce", ...judgement });
  }

  #beginClosing(): void {
    this.#isClosing = true;
    this.#gone.abort();
    this.#device[Symbol.dispose]();
    for (const turn of this.#turns) discard(turn);
    this.#turns = [];
  }
}

function discard(turn: Turn): void {
  if (turn.kind === "request") turn.incoming.unpipe().resume();
}

function summarise({ method, url }: IncomingMessage): string {
  const text = `${method ?? ""} ${url ?? ""}`;
  return text.length > MAX_DECISION_SUMMARY_CHARS ? `${text.slice(0, MAX_DECISION_SUMMARY_CHARS - 1)}…` : text;
}
