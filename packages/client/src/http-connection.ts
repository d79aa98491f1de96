import { AppError, errorFromAnswer, formatDuration, type Parsed, parseWith, type Schema } from "@hardshare/protocol";
import { fetchTransport, type Transport, type TransportAnswer } from "./transport.ts";

/** Milliseconds until an ordinary request is given up. */
export const DEFAULT_TIMEOUT_MS = 15_000;
/** Longest answer that is read; a longer one is refused. */
export const MAX_ANSWER_BYTES = 32 * 1024 * 1024;

export interface ConnectionOptions {
  /** The server's address, such as `http://127.0.0.1:8484`. */
  url: string;
  /** API token; absent: the request is made without one. */
  token?: string | undefined;
  /** How requests are sent: by `fetch` unless told otherwise. */
  transport?: Transport | undefined;
  /** Milliseconds until a request is given up, `DEFAULT_TIMEOUT_MS` unless told otherwise. */
  timeoutMs?: number | undefined;
}

export interface RequestOptions {
  query?: Record<string, string | number | undefined>;
  body?: unknown;
  signal?: AbortSignal | undefined;
  timeoutMs?: number;
  headers?: Record<string, string>;
}

/** Requests to one server: headers, time limits, and every failure as an `AppError` of the catalogue. */
export class HttpConnection {
  readonly url: string;
  readonly #token: string | undefined;
  readonly #transport: Transport;
  readonly #timeoutMs: number;

  /** @throws AppError `bad_input` when the address is no http(s) URL */
  constructor(options: ConnectionOptions) {
    this.url = normaliseServerUrl(options.url);
    this.#token = options.token;
    this.#transport = options.transport ?? fetchTransport;
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  }

  /**
   * One request whose answer is JSON of a schema.
   * @throws AppError with the server's code; `server_unreachable`; `timed_out`; `protocol_violation` for an answer of another shape
   */
  async json<S extends Schema>(method: string, path: string, schema: S, options: RequestOptions = {}): Promise<Parsed<S>> {
    const text = await this.text(method, path, options);
    return parseWith(schema, parseJson(text, `${method} ${path}`, this.url), `answer of ${method} ${path}`, "protocol_violation");
  }

  /** One request whose answer is text or nothing. @throws AppError like `json` */
  async text(method: string, path: string, options: RequestOptions = {}): Promise<string> {
    const timeoutMs = options.timeoutMs ?? this.#timeoutMs;
    const timeout = AbortSignal.timeout(timeoutMs);
    const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout;
    try {
      const answer = await this.open(method, path, { ...options, signal });
      return await readLimited(answer, `${method} ${path}`);
    } catch (error) {
      if (!timeout.aborted || options.signal?.aborted) throw this.#asFailure(error, options.signal);
      throw new AppError(
        "timed_out",
        `the server at ${this.url} did not answer ${method} ${path} within ${formatDuration(timeoutMs / 1000)}; try again, and look at its log if it stays silent`,
        { cause: error },
      );
    }
  }

  /** Sends a request and returns the answer once its headers are there and say success; the caller reads the body. */
  async open(method: string, path: string, options: RequestOptions = {}): Promise<TransportAnswer> {
    const target = new URL(this.url + path);
    for (const [name, value] of Object.entries(options.query ?? {})) {
      if (value !== undefined) target.searchParams.set(name, String(value));
    }
    const answer = await this.#send(target, method, options);
    if (answer.status < 400) return answer;
    throw errorFromAnswer(answer.status, await readLimited(answer, `${method} ${path}`), `${method} ${path}`);
  }

  async #send(target: URL, method: string, options: RequestOptions): Promise<TransportAnswer> {
    const headers: Record<string, string> = { ...options.headers };
    if (this.#token !== undefined) headers["authorization"] = `Bearer ${this.#token}`;
    if (options.body !== undefined) headers["content-type"] = "application/json";
    try {
      const body = options.body === undefined ? undefined : JSON.stringify(options.body);
      return await this.#transport(target, { method, headers, body, signal: options.signal });
    } catch (error) {
      throw this.#asFailure(error, options.signal);
    }
  }

  #asFailure(error: unknown, signal: AbortSignal | undefined): unknown {
    if (error instanceof AppError || signal?.aborted) return error;
    return new AppError(
      "server_unreachable",
      `can't reach the server at ${this.url} (${reasonOf(error)}); check the address and that the server runs, or name another one with --server`,
      { details: { url: this.url }, cause: error },
    );
  }
}

/**
 * The address of a server in one form: no slash at its end.
 * @throws AppError `bad_input` when it is no http(s) URL
 */
export function normaliseServerUrl(text: string): string {
  let url: URL | undefined;
  try {
    url = new URL(text);
  } catch {
    // told below
  }
  if (url === undefined || !["http:", "https:"].includes(url.protocol) || url.username !== "" || url.search !== "" || url.hash !== "") {
    throw new AppError("bad_input", `server: "${text}" is no address of a server; write one such as http://127.0.0.1:8484`, {
      details: { field: "server" },
    });
  }
  return url.href.replace(/\/+$/, "");
}

/** The text of a body. @param request for the message @throws AppError `protocol_violation` when it is longer than `MAX_ANSWER_BYTES` */
export async function readLimited({ body }: TransportAnswer, request: string): Promise<string> {
  const decoder = new TextDecoder();
  let size = 0;
  let text = "";
  for await (const chunk of body) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES) {
      throw new AppError("protocol_violation", `the answer of ${request} is longer than ${MAX_ANSWER_BYTES} bytes; ask for less of it`);
    }
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function parseJson(text: string, request: string, url: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AppError("protocol_violation", `${request} was not answered with JSON; check that ${url} is a hardshare server`, {
      cause: error,
    });
  }
}

/** The innermost reason of a failed fetch, such as ECONNREFUSED. */
function reasonOf(error: unknown): string {
  let inner = error;
  while (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause;
  const { code, message } = inner as { code?: string; message?: string };
  return code ?? message ?? String(error);
}
