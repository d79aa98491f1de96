import { RequestBody } from "./request-body.ts";
import {
  BODY_FOLLOWS,
  freeParser,
  type HeadersComplete,
  MAX_HEAD_BYTES,
  NO_BODY,
  NodeParser,
  OTHER_PROTOCOL,
  readMethodNames,
} from "./node-parser.ts";

/** A request as the client sent it. */
export interface ClientRequest {
  readonly method: string;
  /** As in the request line. */
  readonly target: string;
  /** Such as `1.1`. */
  readonly version: string;
  /** Names and values by turns, as the client wrote them. */
  readonly rawHeaders: readonly string[];
  /** Whether the client may send another request after it. */
  readonly isKeptAlive: boolean;
  readonly body: RequestBody;
}

/** Gets what has been read, in this order, while `read` runs. */
export interface RequestEvents {
  /** The head of a request; its body comes afterwards. */
  readonly onRequest: (request: ClientRequest) => void;
  /** How many more bytes of bodies are held, or fewer. */
  readonly onHeld: (changeBytes: number) => void;
}

/** What came is no request: nothing after it can be believed. */
export interface Malformed {
  readonly status: 400 | 408 | 413 | 431;
  readonly because: string;
}

/** The request after which another protocol begins, and what came of that. */
export interface OtherProtocol {
  readonly request: ClientRequest;
  readonly rest: Buffer;
}

const METHOD_NAMES = readMethodNames();
const STATUS_OF_PROBLEM: Readonly<Record<string, Malformed["status"]>> = { HPE_HEADER_OVERFLOW: 431, HPE_CHUNK_EXTENSIONS_OVERFLOW: 413 };

/**
 * Reads a client's requests with Node's strict parser itself, without the server of `node:http` around it, which takes
 * more time than all the rest. Nothing after the last request of a connection is looked at, nor after something malformed.
 */
export class RequestReader implements Disposable {
  readonly #parser = new NodeParser();
  readonly #events: RequestEvents;
  #rawHeaders: string[] = [];
  #target = "";
  /** Whose body comes. */
  #open: ClientRequest | undefined;
  #other: ClientRequest | undefined;
  #isInHead = true;
  #hasEnded = false;
  #isDisposed = false;

  constructor(events: RequestEvents) {
    this.#events = events;
    const parser = this.#parser;
    parser.initialize(NodeParser.REQUEST, {}, MAX_HEAD_BYTES, 0);
    parser[NodeParser.kOnMessageBegin] = () => void (this.#isInHead = true);
    parser[NodeParser.kOnHeaders] = (headers: string[], target: string) => {
      if (this.#open !== undefined) return; // trailers
      this.#rawHeaders.push(...headers);
      this.#target += target;
    };
    const onHeadersComplete: HeadersComplete = (major, minor, headers, method, target, _status, _message, isUpgrade, isKeptAlive) => {
      const request: ClientRequest = {
        method: METHOD_NAMES.get(method ?? -1) ?? "",
        target: target ?? this.#target,
        version: major === 1 && minor === 1 ? "1.1" : `${major}.${minor}`,
        rawHeaders: headers ?? this.#rawHeaders,
        isKeptAlive,
        body: new RequestBody(events.onHeld),
      };
      this.#rawHeaders = [];
      this.#target = "";
      return this.#onHead(request, isUpgrade);
    };
    parser[NodeParser.kOnHeadersComplete] = onHeadersComplete;
    parser[NodeParser.kOnBody] = (bytes: Buffer) => this.#open?.body.push(bytes);
    parser[NodeParser.kOnMessageComplete] = () => this.#onEnd();
  }

  /** Whether the head of a request is to come: of the first one, or of one that has begun. */
  get isInHead(): boolean {
    return this.#isInHead;
  }

  /** Bytes came. @returns what is wrong with them; or that what follows is another protocol, for which this reader is done */
  read(bytes: Buffer): Malformed | OtherProtocol | undefined {
    if (this.#hasEnded) return undefined;
    const result = this.#parser.execute(bytes);
    if (typeof result !== "number") return this.#describe(result);
    if (this.#other === undefined) return undefined;
    this.#hasEnded = true;
    return { request: this.#other, rest: bytes.subarray(result) };
  }

  /** The client says no more. */
  end(): Malformed | undefined {
    if (this.#hasEnded) return undefined;
    const result = this.#parser.finish();
    return result instanceof Error ? this.#describe(result) : undefined;
  }

  /** Reads no more. */
  [Symbol.dispose](): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#hasEnded = true;
    this.#isInHead = false;
    freeParser(this.#parser);
  }

  #onHead(request: ClientRequest, isUpgrade: boolean): number {
    this.#isInHead = false;
    if (this.#hasEnded) return NO_BODY;
    if (isUpgrade) {
      this.#other = request;
      return OTHER_PROTOCOL;
    }
    this.#open = request;
    this.#events.onRequest(request);
    return BODY_FOLLOWS;
  }

  #onEnd(): void {
    const request = this.#open;
    this.#open = undefined;
    if (request === undefined) return;
    if (!request.isKeptAlive) this.#hasEnded = true;
    request.body.complete();
  }

  #describe(problem: Error & { code?: string; reason?: string }): Malformed | undefined {
    if (this.#hasEnded) return undefined; // it came after the last request
    this.#hasEnded = true;
    return {
      status: STATUS_OF_PROBLEM[problem.code ?? ""] ?? 400,
      because: `the request is malformed: ${problem.reason ?? problem.message}`,
    };
  }
}
