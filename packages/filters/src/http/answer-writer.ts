import type { Socket } from "node:net";
import type { ClientRequest } from "./request-reader.ts";

/** A part as small as this goes with the head in one write. */
const SMALL_BYTES = 16 * 1024;
/** What no status line holds; headers come from Node's parser, which lets none of it pass in them. */
const NOT_SAYABLE = /[^\t\x20-\x7e\x80-\xff]/;

/** Writes the answers to the requests of one connection, framed as its client can read them (RFC 9112 §6). */
export class AnswerWriter {
  readonly #socket: Socket;
  readonly #keptAlive: string;
  #request: ClientRequest | undefined;
  /** Written, but not sent: it goes with what comes next. */
  #head = "";
  #hasBegun = false;
  #isChunked = false;
  #isBodiless = false;
  #isLast = false;
  #hasContinued = false;
  #onDrain: (() => void) | undefined;

  /** @param idleSeconds what the client is told of how long the connection stays open */
  constructor(socket: Socket, idleSeconds: number) {
    this.#socket = socket;
    this.#keptAlive = `Connection: keep-alive\r\nKeep-Alive: timeout=${idleSeconds}\r\n\r\n`;
    socket.on("drain", () => {
      const onDrain = this.#onDrain;
      this.#onDrain = undefined;
      onDrain?.();
    });
  }

  /** What is written from here on answers this request. */
  expect(request: ClientRequest): void {
    this.#request = request;
    this.#head = "";
    this.#hasBegun = false;
    this.#isLast = false;
    this.#hasContinued = false;
  }

  /** Whether the answer's head has been written. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** Whether the client was told that the connection ends with this answer. */
  get isLast(): boolean {
    return this.#isLast;
  }

  /** Whether the client was told to send the body. */
  get hasContinued(): boolean {
    return this.#hasContinued;
  }

  /** Tells the client to send the body, once. */
  continue(): void {
    if (this.#hasContinued || this.#hasBegun) return;
    this.#hasContinued = true;
    this.#socket.write("HTTP/1.1 100 Continue\r\n\r\n", "latin1");
  }

  /**
   * Begins the answer. Without a length its body is sent in chunks, or up to the connection's end to a client that knows none.
   * @param headers names and values by turns, without framing but `Content-Length`
   * @param isLast whether the connection ends with it, whatever the client asked for
   * @throws Error when it can't be said
   */
  writeHead(status: number, statusMessage: string, headers: readonly string[], isLast: boolean): void {
    if (NOT_SAYABLE.test(statusMessage)) throw new Error("its status line holds control characters");
    let text = `HTTP/1.1 ${status} ${statusMessage}\r\n`;
    let hasLength = false;
    for (let index = 0; index + 1 < headers.length; index += 2) {
      const name = headers[index] ?? "";
      if (name === "") throw new Error("a header has no name"); // the parser of Node 20.19.0 lets it pass
      if (name.length === CONTENT_LENGTH.length && name.toLowerCase() === CONTENT_LENGTH) hasLength = true;
      text += `${name}: ${headers[index + 1]}\r\n`;
    }
    const request = this.#request;
    const knowsChunks = request?.version === "1.1";
    this.#isBodiless = request?.method === "HEAD" || status === 204 || status === 304;
    this.#isChunked = !this.#isBodiless && !hasLength && knowsChunks;
    this.#isLast = isLast || request?.isKeptAlive !== true || !(hasLength || knowsChunks);
    if (this.#isChunked) text += "Transfer-Encoding: chunked\r\n";
    this.#head = text + (this.#isLast ? "Connection: close\r\n\r\n" : this.#keptAlive);
    this.#hasBegun = true;
  }

  /** Sends the head, when nothing more is there to go with it. */
  flush(): void {
    if (this.#head === "") return;
    this.#socket.write(this.#head, "latin1");
    this.#head = "";
  }

  /** @returns false when the client reads too slowly; `onDrain` is called when it has read */
  write(bytes: Buffer, onDrain: () => void): boolean {
    if (this.#isBodiless) return true;
    this.#send(bytes, false);
    return this.#hasRoom(onDrain);
  }

  /** Ends the answer. @returns false when the client reads too slowly; `onDrain` is called when it has read */
  end(last: Buffer | undefined, onDrain: () => void): boolean {
    this.#send(this.#isBodiless ? undefined : last, true);
    return this.#hasRoom(onDrain);
  }

  #send(bytes: Buffer | undefined, isEnd: boolean): void {
    const before = this.#head;
    this.#head = "";
    const socket = this.#socket;
    const isEmpty = bytes === undefined || bytes.length === 0;
    const start = this.#isChunked && !isEmpty ? `${before}${bytes.length.toString(16)}\r\n` : before;
    const end = this.#isChunked ? (isEmpty ? "" : "\r\n") + (isEnd ? "0\r\n\r\n" : "") : "";
    if (isEmpty || bytes.length <= SMALL_BYTES) {
      const text = isEmpty ? start + end : start + bytes.toString("latin1") + end;
      if (text !== "") socket.write(text, "latin1");
      return;
    }
    socket.cork();
    if (start !== "") socket.write(start, "latin1");
    socket.write(bytes);
    if (end !== "") socket.write(end, "latin1");
    socket.uncork();
  }

  #hasRoom(onDrain: () => void): boolean {
    if (!this.#socket.writableNeedDrain) return true;
    this.#onDrain = onDrain;
    return false;
  }
}

const CONTENT_LENGTH = "content-length";
