import type { Socket } from "node:net";
import { onOrderlyEnd } from "@hardshare/runtime/sockets";
import type { Judgement } from "../run/filter-kind.ts";
import { AnswerWriter } from "./answer-writer.ts";
import { Deadline } from "./deadline.ts";
import { DeviceConnection } from "./device-connection.ts";
import type { Responder } from "./device-link.ts";
import { answerAndClose, closeGently } from "./refusal.ts";
import { type ClientRequest, type Malformed, type OtherProtocol, RequestReader } from "./request-reader.ts";
import { type FilterContext, type Outcome, serveRequest } from "./serve-request.ts";
import { serveUpgrade } from "./serve-upgrade.ts";
import { summarise } from "./summary.ts";

/** How long a client may take to send the head of a request. */
export const HEAD_TIMEOUT_MS = 30_000;
/** How long a client is told that a connection without a request stays open. */
const IDLE_SECONDS = 60;
/** How long it does: longer, so that no request meets a connection that is being closed. */
export const IDLE_TIMEOUT_MS = (IDLE_SECONDS + 1) * 1000;
/** Requests that a client may send ahead of their answers; one more drops the connection. */
const MAX_UNANSWERED_REQUESTS = 64;
/** When so much of bodies is held, nothing more is read. */
const FULL_BYTES = 64 * 1024;

type Turn =
  | { readonly kind: "request"; readonly request: ClientRequest }
  | { readonly kind: "malformed"; readonly status: number; readonly because: string };

/**
 * One client connection: its requests are judged and forwarded one after the other, in the order in which they came.
 * After a refusal or an error nothing that follows on this connection is looked at.
 */
export class ClientConnection {
  readonly #socket: Socket;
  readonly #context: FilterContext;
  readonly #device: Responder;
  readonly #reader: RequestReader;
  readonly #writer: AnswerWriter;
  /** For what the client has to do next; and for the body that is held. */
  readonly #deadline: Deadline;
  readonly #holdDeadline: Deadline;
  #waitsFor: "head" | "request" | "answer" | undefined;
  /** The first is being served. */
  #turns: Turn[] = [];
  #heldBytes = 0;
  #isClosing = false;

  constructor(socket: Socket, context: FilterContext) {
    this.#socket = socket;
    this.#context = context;
    this.#device = typeof context.device === "function" ? context.device() : new DeviceConnection(context.device, context.clock);
    this.#deadline = new Deadline(context.clock);
    this.#holdDeadline = new Deadline(context.clock);
    this.#writer = new AnswerWriter(socket, IDLE_SECONDS);
    this.#reader = new RequestReader({
      onRequest: (request) => this.#enqueue({ kind: "request", request }),
      onHeld: (changeBytes) => {
        this.#heldBytes += changeBytes;
        this.#pace();
      },
    });
    socket.on("error", ({ code }: NodeJS.ErrnoException) => {
      if (code === "ECONNRESET") this.cut(); // so the host cuts connections, when nothing more may pass
    });
    socket.on("data", this.#read);
    socket.on("drain", this.#pace);
    onOrderlyEnd(socket, () => this.#end());
    socket.once("close", () => this.#beginClosing());
    this.#watch();
  }

  /** Drops the connection, and with it what is on its way to the device. */
  drop(): void {
    this.#beginClosing();
    this.#socket.destroy();
  }

  /** The same, and drops also what the device has not yet taken. */
  cut(): void {
    this.#beginClosing(true);
    this.#socket.destroy();
  }

  readonly #read = (bytes: Buffer): void => {
    if (this.#isClosing) return;
    const end = this.#reader.read(bytes);
    if (this.#isClosing) return;
    if (end !== undefined) return "request" in end ? this.#leaveHttp(end) : this.#refuseMalformed(end);
    this.#watch();
    this.#pace();
  };

  #end(): void {
    const malformed = this.#isClosing ? undefined : this.#reader.end();
    if (malformed !== undefined) this.#refuseMalformed(malformed);
    this.#beginClosing();
    this.#socket.destroySoon();
  }

  /** Reads no more while the client does not read what it is answered, or too much of bodies is held. */
  readonly #pace = (): void => {
    const isFull = !this.#isClosing && (this.#heldBytes >= FULL_BYTES || this.#socket.writableNeedDrain);
    if (isFull === this.#socket.isPaused()) return;
    if (isFull) this.#socket.pause();
    else this.#socket.resume();
  };

  /** Sets the deadline for what the connection waits for. */
  #watch(): void {
    if (this.#isClosing) return;
    const waitsFor = this.#reader.isInHead ? "head" : this.#turns.length === 0 ? "request" : "answer";
    if (waitsFor === this.#waitsFor) return;
    this.#waitsFor = waitsFor;
    if (waitsFor === "request") this.#deadline.set(IDLE_TIMEOUT_MS, () => this.drop());
    else if (waitsFor === "answer") this.#deadline.clear();
    else {
      this.#deadline.set(HEAD_TIMEOUT_MS, () => {
        this.#reader[Symbol.dispose]();
        this.#refuseMalformed({ status: 408, because: `the head of the request did not come within ${HEAD_TIMEOUT_MS / 1000} s` });
      });
    }
  }

  /** What came is no request. It is answered in its turn, or ends the request whose body it broke. */
  #refuseMalformed({ status, because }: Malformed): void {
    const last = this.#turns.at(-1);
    if (last?.kind !== "request" || last.request.body.isComplete) return this.#enqueue({ kind: "malformed", status, because });
    this.#turns.pop();
    if (this.#turns.length > 0) {
      last.request.body.ignore();
      return this.#enqueue({ kind: "malformed", status, because });
    }
    // It was allowed, and is on its way: this decision ends it.
    const ending = `ends the request that was allowed: ${because}`;
    const summary = summarise(last.request);
    if (!this.#writer.hasBegun) return this.#refuse(status, ending, summary);
    this.#decide({ rule: "strict", decision: "block", summary, because: ending });
    this.drop();
  }

  /** The request after which no HTTP follows. */
  #leaveHttp({ request, rest }: OtherProtocol): void {
    if (this.#turns.length > 0) return this.drop(); // nothing writes the answers before it any more
    this.#waitsFor = "answer";
    this.#deadline.clear();
    if (request.method === "CONNECT") return this.#refuse(400, "the method CONNECT is never passed on", "malformed request");
    this.#socket.off("data", this.#read);
    this.#socket.off("drain", this.#pace);
    this.#socket.pause();
    serveUpgrade({ context: this.#context, request, socket: this.#socket, head: rest }).then(
      (outcome) => {
        if (outcome === "done") this.#reader[Symbol.dispose]();
        else this.#conclude(outcome, true);
      },
      (error: unknown) => this.#fail(error, "an upgrade"),
    );
  }

  #enqueue(turn: Turn): void {
    if (this.#isClosing) discard(turn);
    else if (this.#turns.length > MAX_UNANSWERED_REQUESTS) this.drop();
    else if (this.#turns.push(turn) === 1) this.#serve(turn);
  }

  #serve(turn: Turn): void {
    if (turn.kind === "malformed") return this.#refuse(turn.status, turn.because, "malformed request");
    const { request } = turn;
    this.#writer.expect(request);
    const attempt = (run: () => void) => {
      try {
        run();
      } catch (error) {
        this.#fail(error, "a request");
      }
    };
    attempt(() =>
      serveRequest({
        context: this.#context,
        request,
        writer: this.#writer,
        device: this.#device,
        holdDeadline: this.#holdDeadline,
        attempt,
        settle: (outcome) => this.#settle(request, outcome),
      }),
    );
  }

  /** The request was served: on to the next. */
  #settle(request: ClientRequest, outcome: Outcome): void {
    if (this.#isClosing) return;
    if (typeof outcome === "object" && this.#writer.hasBegun) return this.drop();
    this.#conclude(outcome === "done" && this.#writer.isLast ? "close" : outcome, request.method !== "HEAD");
    if (this.#isClosing) return;
    this.#turns.shift();
    this.#watch();
    const next = this.#turns[0];
    if (next !== undefined) this.#serve(next);
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

  #fail(error: unknown, what: string): void {
    this.#context.logger.error(`${what} could not be handled: its connection is closed`, { error });
    this.drop();
  }

  /** From here on nothing that comes is looked at: it is read and thrown away. */
  #beginClosing(isCut = false): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#reader[Symbol.dispose]();
    this.#deadline[Symbol.dispose]();
    this.#holdDeadline[Symbol.dispose]();
    if (isCut) this.#device.cut();
    else this.#device[Symbol.dispose]();
    for (const turn of this.#turns) discard(turn);
    this.#turns = [];
    this.#socket.resume();
  }
}

function discard(turn: Turn): void {
  if (turn.kind === "request") turn.request.body.ignore();
}
