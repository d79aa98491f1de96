import { BODY_FOLLOWS, freeParser, type HeadersComplete, MAX_HEAD_BYTES, NO_BODY, NodeParser } from "./node-parser.ts";

/** The head of an answer. */
export interface AnswerHead {
  readonly status: number;
  readonly statusMessage: string;
  /** Names and values by turns, as the device wrote them. */
  readonly rawHeaders: readonly string[];
  /** Whether the device will read another request on this connection. */
  readonly isKeptAlive: boolean;
}

/** Gets what has been read, in this order. */
export interface AnswerEvents {
  /** The device wants the body that it was told of. */
  onContinue(): void;
  onHead(head: AnswerHead): void;
  onBody(bytes: Buffer): void;
  onEnd(): void;
}

/**
 * Reads a device's answers, one for each request, with Node's strict parser itself: what `node:http` puts around it for
 * a client takes most of a request's time, and it would be the slowest part of the filter.
 */
export class AnswerReader implements Disposable {
  readonly #parser = new NodeParser();
  #rawHeaders: string[] = [];
  #expected: { events: AnswerEvents; isHead: boolean } | undefined;
  /** Whether the head that came is that of the answer, not of what may come before it (status 1xx). */
  #isFinal = false;
  #problem: Error | undefined;

  constructor() {
    const parser = this.#parser;
    parser[NodeParser.kOnHeaders] = (headers: string[]) => {
      if (this.#expected !== undefined) this.#rawHeaders.push(...headers);
    };
    const onHeadersComplete: HeadersComplete = (
      _major,
      _minor,
      headers,
      _method,
      _target,
      status = 0,
      statusMessage = "",
      isUpgrade,
      isKeptAlive,
    ) => {
      const rawHeaders = headers ?? this.#rawHeaders;
      this.#rawHeaders = [];
      return this.#onHead({ status, statusMessage, rawHeaders, isKeptAlive }, isUpgrade);
    };
    parser[NodeParser.kOnHeadersComplete] = onHeadersComplete;
    parser[NodeParser.kOnBody] = (bytes: Buffer) => {
      if (this.#problem === undefined) this.#expected?.events.onBody(bytes);
    };
    parser[NodeParser.kOnMessageComplete] = () => this.#onEnd();
  }

  /** Expects the answer to the next request. */
  expect(events: AnswerEvents, isHead: boolean): void {
    this.#expected = { events, isHead };
    this.#isFinal = false;
    this.#rawHeaders = [];
    this.#parser.initialize(NodeParser.RESPONSE, {}, MAX_HEAD_BYTES, 0);
  }

  /** Bytes came. @returns what is wrong with them: nothing that comes after them can be believed */
  read(bytes: Buffer): Error | undefined {
    if (this.#expected === undefined) return new Error("it sent something that nobody asked for");
    const result = this.#parser.execute(bytes);
    return this.#problem ?? (typeof result === "number" ? undefined : result);
  }

  /** The device has ended: this is the end of an answer that has no other. */
  end(): Error | undefined {
    if (this.#expected === undefined) return undefined;
    const result = this.#parser.finish();
    return this.#problem ?? (result instanceof Error ? result : undefined);
  }

  [Symbol.dispose](): void {
    this.#expected = undefined;
    freeParser(this.#parser);
  }

  #onHead(head: AnswerHead, isUpgrade: boolean): number {
    const expected = this.#expected;
    if (expected === undefined) {
      this.#problem = new Error("it sent a second answer");
      return NO_BODY;
    }
    if (head.status === 101 || (isUpgrade && head.status >= 200)) {
      this.#problem = new Error("it answered 101 Switching Protocols, which nobody asked for");
      return NO_BODY;
    }
    if (head.status < 200) {
      if (head.status === 100) expected.events.onContinue();
      return NO_BODY;
    }
    this.#isFinal = true;
    expected.events.onHead(head);
    // Whatever its length says; the parser of Node 20.19.0 would wait for it.
    return expected.isHead || head.status === 204 || head.status === 304 ? NO_BODY : BODY_FOLLOWS;
  }

  #onEnd(): void {
    if (!this.#isFinal || this.#problem !== undefined) return;
    const events = this.#expected?.events;
    this.#expected = undefined;
    events?.onEnd();
  }
}
