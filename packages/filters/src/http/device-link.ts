import { connect, type Socket } from "node:net";
import type { Clock } from "@hardshare/runtime";
import { cut } from "@hardshare/runtime/sockets";
import type { CompiledHttpRule } from "../rules/http-rules.ts";
import type { DeviceAddress } from "../run/device-address.ts";
import { type AnswerHead, AnswerReader } from "./answer-reader.ts";
import type { RequestBody } from "./request-body.ts";

/** A request as it is written to the device. */
export interface DeviceRequest {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  /** Names and values by turns, without Host and framing. */
  readonly headers: readonly string[];
  readonly body: DeviceRequestBody;
}

/** Nothing, all of it, or what streams from the client. */
type DeviceRequestBody =
  | undefined
  | Buffer
  | { readonly stream: RequestBody; readonly sizeBytes: number | "chunked"; readonly expectsContinue: boolean };

/** Takes the answer, each part as soon as it is there. */
export interface AnswerSink {
  /** The device wants the body of the request. */
  continue(): void;
  /** @throws Error when an answer with this head can't be passed on */
  begin(head: AnswerHead): void;
  /** Nothing more is there for now: what has come goes on. */
  flush(): void;
  /** @returns false when it is full; it then calls `onDrain` when it is not any more. @throws Error when it can't be passed on */
  write(bytes: Buffer, onDrain: () => void): boolean;
  /** The whole answer has come; calls `onFinish` when it is on its way. */
  end(last: Buffer | undefined, onFinish: () => void): void;
}

/**
 * How forwarding a request ended: `done`; `close` when the device answered before it had read the whole request, so that
 * the client's connection can't go on; `broken` when the answer was cut off; else nothing was answered yet and `status`
 * says what to answer.
 */
export type ForwardResult = "done" | "close" | "broken" | { readonly status: 502 | 504; readonly because: string };

/** What answers the requests of one client connection that were let through. Its end ends what it is asked. */
export interface Responder extends Disposable {
  /**
   * Gives the answer to the sink.
   * @param settle called once, when it is over
   * @param rule that let the request through, or, on trial, would not; undefined for the default
   */
  forward(request: DeviceRequest, sink: AnswerSink, settle: (result: ForwardResult) => void, rule: CompiledHttpRule | undefined): void;
  /** Ends it, and drops also what was not yet taken of what it asked the device. */
  cut(): void;
}

/** How long a device may take to accept a connection. */
export const CONNECT_TIMEOUT_MS = 5000;

/** So that no request meets a connection that is being closed. */
const IDLE_MS = 2000;
/** How much earlier than the device an idle connection is closed. */
const EARLIER_MS = 500;

interface Exchange {
  readonly request: DeviceRequest;
  readonly sink: AnswerSink;
  readonly settle: (result: ForwardResult) => void;
  /** Whether the device is told that another request may come. */
  readonly mayBeFollowed: boolean;
  head: AnswerHead | undefined;
  /** Came last, and has not been given to the sink, so that it can go with the head or the end. */
  chunk: Buffer | undefined;
  hasBegun: boolean;
  hasEnded: boolean;
  isSent: boolean;
  stopSending: () => void;
}

/** One connection to the device: one request after the other, written anew, and the answers to them. */
export class DeviceLink implements Disposable {
  readonly #socket: Socket;
  readonly #reader = new AnswerReader();
  readonly #hostHeader: string;
  #exchange: Exchange | undefined;
  #isUsable = true;
  /** How long it may be idle before it is closed: before common devices close theirs (5 s), or this one says it does. */
  idleMs = IDLE_MS;

  constructor(device: DeviceAddress, clock: Clock) {
    this.#hostHeader = writeHost(device);
    this.#socket = connect({ host: device.host, port: device.port, noDelay: true });
    const connecting = clock.after(CONNECT_TIMEOUT_MS, () => {
      this.#fail(`it did not accept the connection within ${CONNECT_TIMEOUT_MS / 1000} s`, 504);
    });
    this.#socket.once("connect", () => connecting[Symbol.dispose]());
    this.#socket.once("close", () => connecting[Symbol.dispose]());
    this.#socket.on("data", (bytes: Buffer) => this.#read(bytes));
    this.#socket.on("error", (error: NodeJS.ErrnoException) => this.#fail(error.message === "" ? (error.code ?? "") : error.message));
    this.#socket.on("end", () => {
      const problem = this.#reader.end();
      if (problem === undefined) this.#flush();
      this.#fail(problem?.message ?? "it closed the connection");
    });
    this.#socket.on("close", () => this.#fail("it closed the connection"));
  }

  /** Whether another request may be sent on it. */
  get isUsable(): boolean {
    return this.#isUsable;
  }

  /** The device will read no more requests than those that it was sent; nothing of it may be used again. */
  [Symbol.dispose](): void {
    this.#fail("the client has left");
  }

  /** The same, with a reset: what the device has not yet taken is dropped, also by the kernel. */
  cut(): void {
    if (this.#isUsable) cut(this.#socket);
    this[Symbol.dispose]();
  }

  /** Writes a request and gives its answer to the sink; calls `settle` once, never before it returns. One at a time. */
  forward(request: DeviceRequest, sink: AnswerSink, settle: (result: ForwardResult) => void): void {
    const exchange: Exchange = {
      request,
      sink,
      settle,
      mayBeFollowed: mayBeFollowed(request.body),
      head: undefined,
      chunk: undefined,
      hasBegun: false,
      hasEnded: false,
      isSent: false,
      stopSending: () => {},
    };
    this.#exchange = exchange;
    this.#socket.resume(); // the answer before may have ended while its reader was full
    const events = {
      onContinue: () => sink.continue(),
      onHead: (head: AnswerHead) => void (exchange.head = head),
      onBody: (bytes: Buffer) => {
        const before = exchange.chunk;
        exchange.chunk = bytes;
        if (before !== undefined) this.#pass(exchange, before);
      },
      onEnd: () => void (exchange.hasEnded = true),
    };
    this.#reader.expect(events, request.method === "HEAD");
    this.#send(exchange);
  }

  #send(exchange: Exchange): void {
    const { request } = exchange;
    const { body } = request;
    const head = writeHead(request, this.#hostHeader, exchange.mayBeFollowed);
    if (body === undefined) {
      this.#socket.write(head, "latin1");
      exchange.isSent = true;
    } else if (Buffer.isBuffer(body)) {
      const message = Buffer.allocUnsafe(head.length + body.length);
      message.write(head, 0, "latin1");
      message.set(body, head.length);
      this.#socket.write(message);
      exchange.isSent = true;
    } else {
      // The head goes first: the device may want to answer, or say 100 Continue, before the body comes.
      this.#socket.write(head, "latin1");
      this.#stream(exchange, body.stream, body.sizeBytes === "chunked");
    }
  }

  #stream(exchange: Exchange, body: RequestBody, isChunked: boolean): void {
    const socket = this.#socket;
    const resume = () => body.resume();
    const stop = () => {
      socket.off("drain", resume);
      exchange.stopSending = () => {};
    };
    exchange.stopSending = () => {
      stop();
      body.ignore();
    };
    socket.on("drain", resume);
    body.start({
      take(bytes) {
        socket.cork();
        if (isChunked) socket.write(`${bytes.length.toString(16)}\r\n`, "latin1");
        socket.write(bytes);
        if (isChunked) socket.write("\r\n", "latin1");
        socket.uncork();
        if (socket.writableNeedDrain) body.pause();
      },
      end() {
        if (isChunked) socket.write("0\r\n\r\n", "latin1");
        exchange.isSent = true;
        stop();
      },
      leave: stop,
    });
  }

  #read(bytes: Buffer): void {
    const problem = this.#reader.read(bytes);
    if (problem !== undefined) this.#fail(problem.message);
    else this.#flush();
  }

  /** Gives the sink what has come; only now, so that an answer that turns out to be wrong has not begun. */
  #flush(): void {
    const exchange = this.#exchange;
    if (exchange?.head === undefined) return;
    if (exchange.hasEnded) this.#finish(exchange);
    else if (exchange.chunk !== undefined || !exchange.hasBegun) {
      const { chunk } = exchange;
      exchange.chunk = undefined;
      this.#pass(exchange, chunk);
    }
  }

  #pass(exchange: Exchange, chunk: Buffer | undefined): void {
    if (!this.#begin(exchange)) return;
    if (chunk === undefined) return exchange.sink.flush();
    try {
      if (!exchange.sink.write(chunk, () => void this.#socket.resume())) this.#socket.pause();
    } catch (error) {
      this.#fail((error as Error).message);
    }
  }

  #begin(exchange: Exchange): boolean {
    if (exchange.hasBegun) return true;
    if (exchange.head === undefined || this.#exchange !== exchange) return false;
    try {
      exchange.sink.begin(exchange.head);
      exchange.hasBegun = true;
    } catch (error) {
      this.#fail((error as Error).message);
    }
    return exchange.hasBegun;
  }

  #finish(exchange: Exchange): void {
    if (!this.#begin(exchange)) return;
    const { head, sink, settle, isSent } = exchange;
    this.#exchange = undefined;
    exchange.stopSending();
    const isKept = isSent && head?.isKeptAlive === true && exchange.mayBeFollowed;
    if (isKept) this.idleMs = readIdleMs(head.rawHeaders);
    else this.#destroy();
    sink.end(exchange.chunk, () => settle(isSent ? "done" : "close"));
  }

  #fail(because: string, status: 502 | 504 = 502): void {
    this.#destroy();
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    this.#exchange = undefined;
    exchange.stopSending();
    exchange.settle(
      exchange.hasBegun ? "broken" : { status, because: `the device can't be reached or its answer can't be read: ${because}` },
    );
  }

  #destroy(): void {
    if (!this.#isUsable) return;
    this.#isUsable = false;
    this.#socket.destroy();
    this.#reader[Symbol.dispose]();
  }
}

function writeHost({ host, port }: DeviceAddress): string {
  const name = host.includes(":") ? `[${host}]` : host;
  return port === 80 ? name : `${name}:${port}`;
}

/** What `Keep-Alive: timeout=…` of an answer leaves. */
function readIdleMs(rawHeaders: readonly string[]): number {
  const index = rawHeaders.findIndex((text, at) => at % 2 === 0 && text.toLowerCase() === "keep-alive");
  const seconds = /(?:^|[ ,])timeout=(\d{1,6})/i.exec(index === -1 ? "" : (rawHeaders[index + 1] ?? ""))?.[1];
  return seconds === undefined ? IDLE_MS : Math.max(0, Math.min(IDLE_MS, Number(seconds) * 1000 - EARLIER_MS));
}

/** Methods without a meaning for a body: no length is written when there is none (RFC 9110 §8.6). */
const BODILESS: ReadonlySet<string> = new Set(["GET", "HEAD", "DELETE", "OPTIONS"]);

function writeHead(request: DeviceRequest, hostHeader: string, isKept: boolean): string {
  const { method, target, headers, body } = request;
  let text = `${method} ${target} HTTP/1.1\r\nHost: ${hostHeader}\r\n`;
  for (let index = 0; index + 1 < headers.length; index += 2) text += `${headers[index]}: ${headers[index + 1]}\r\n`;
  if (body === undefined) {
    if (!BODILESS.has(method)) text += "Content-Length: 0\r\n";
  } else {
    const sizeBytes = Buffer.isBuffer(body) ? body.length : body.sizeBytes;
    text += sizeBytes === "chunked" ? "Transfer-Encoding: chunked\r\n" : `Content-Length: ${sizeBytes}\r\n`;
    if ("expectsContinue" in body && body.expectsContinue) text += "Expect: 100-continue\r\n";
    if (!isKept) text += "Connection: close\r\n";
  }
  return `${text}\r\n`;
}

/**
 * Whether another request may come after this one on the same connection; else the device is told that none comes. Many
 * small servers answer without having read the body, and take it for the next request, which nobody judged: so only a
 * body that can't be one follows, for it has neither a blank to part words, nor a slash to begin a path.
 */
function mayBeFollowed(body: DeviceRequestBody): boolean {
  if (body === undefined) return true;
  return Buffer.isBuffer(body) && !BLANK_OR_SLASH.test(body.toString("latin1"));
}

// oxlint-disable-next-line no-control-regex -- all bytes up to the blank
const BLANK_OR_SLASH = /[\x00-\x20/\x7f-\x9f\xa0]/;
