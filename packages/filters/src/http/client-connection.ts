import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Judgement } from "../run/filter-kind.ts";
import { DeviceConnection } from "./device-connection.ts";
import { answerAndClose, closeGently } from "./refusal.ts";
import { type FilterContext, type Outcome, serveRequest } from "./serve-request.ts";
import { serveUpgrade } from "./serve-upgrade.ts";
import { summarise } from "./summary.ts";

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
  /** The first is being served. */
  #turns: Turn[] = [];
  #isClosing = false;
  #ignored = 0;

  constructor(socket: Socket, context: FilterContext) {
    this.#socket = socket;
    this.#context = context;
    this.#device = new DeviceConnection(context.device, context.clock);
    socket.on("error", () => {}); // "close" follows
    socket.once("close", () => this.#beginClosing());
    socket.once("end", () => {
      this.#beginClosing();
      socket.destroySoon(); // not left to Node, which would wait for an answer that is not coming any more
    });
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
      if (!last.response.headersSent) return this.#refuse(status, ending, summary);
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

  /** A request for another protocol, after which Node's parser has let go of the socket. */
  upgrade(incoming: IncomingMessage, head: Buffer): void {
    if (this.#isClosing || this.#turns.length > 0) return this.drop(); // nothing writes the answers before it any more
    this.#socket.pause();
    const relay = serveUpgrade({ context: this.#context, incoming, socket: this.#socket, head });
    relay.then(
      (outcome) => {
        if (outcome === "done") return;
        this.#socket.resume();
        this.#conclude(outcome, true);
      },
      (error: unknown) => {
        this.#context.logger.error("an upgrade could not be handled: its connection is closed", { error });
        this.drop();
      },
    );
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
        if (turn.kind === "malformed") this.#refuse(turn.status, turn.because, "malformed request");
        else {
          const { incoming, response } = turn;
          const served = serveRequest({ context: this.#context, incoming, response, device: this.#device });
          const outcome = served instanceof Promise ? await served : served;
          if (typeof outcome === "object" && response.headersSent) this.drop();
          else this.#conclude(outcome, incoming.method !== "HEAD");
        }
      } catch (error) {
        this.#context.logger.error("a request could not be handled: its connection is closed", { error });
        this.drop();
        return;
      }
      if (this.#turns[0] === turn) this.#turns.shift();
    }
  }

  #conclude(outcome: Outcome, hasBody: boolean): void {
    if (this.#isClosing || outcome === "done") return;
    if (outcome === "drop") return this.drop();
    this.#beginClosing();
    if (outcome === "close") return closeGently(this.#socket, this.#context.clock);
    const { status, ...body } = outcome;
    answerAndClose(this.#socket, { status, body }, hasBody, this.#context.clock);
  }

  #refuse(status: number, because: string, summary: string): void {
    this.#decide({ rule: "strict", decision: "block", summary, because });
    this.#conclude({ status, error: "refused by filter", rule: "strict", because }, true);
  }

  #decide(judgement: Pick<Judgement, "rule" | "decision" | "summary" | "because">): void {
    this.#context.onDecision({ direction: "in", mode: "enforce", ...judgement });
  }

  #beginClosing(): void {
    this.#isClosing = true;
    this.#device[Symbol.dispose]();
    for (const turn of this.#turns) discard(turn);
    this.#turns = [];
  }
}

function discard(turn: Turn): void {
  if (turn.kind === "request") turn.incoming.unpipe().resume();
}
