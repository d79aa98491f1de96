/**
 * HTTP over the Unix socket of a container engine: requests, error replies as AppErrors, and streams.
 * Knows the API's form, not its calls.
 */
import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { AppError } from "@hardshare/protocol";
import { orAborted, runLimited } from "./call-limits.ts";
import { type CallOptions, DEFAULT_CALL_TIMEOUT_MS } from "./engine.ts";

/** Most bytes of one reply that is read whole; the largest are lists of containers. */
const MAX_REPLY_BYTES = 16 * 1024 ** 2;

/** Where an engine listens. */
export interface EngineEndpoint extends AsyncDisposable {
  readonly socketPath: string;
  /** Resolves when the engine listens; at once when it does already. Rejects when it never will. */
  ready(signal: AbortSignal): Promise<void>;
}

export interface ApiRequest {
  method: "GET" | "POST" | "PUT" | "DELETE";
  path: string;
  query?: Readonly<Record<string, string>>;
  json?: unknown;
  /** A tar archive; one that is still being made is sent as it comes. */
  archive?: Buffer | Readable;
  /** What is done, for messages: "create the container". */
  doing: string;
}

export interface ApiReply {
  status: number;
  body: Buffer;
}

export class ApiConnection implements AsyncDisposable {
  readonly #endpoint: EngineEndpoint;
  readonly #agent = new Agent({ keepAlive: true });

  constructor(endpoint: EngineEndpoint) {
    this.#endpoint = endpoint;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.destroy();
    await this.#endpoint[Symbol.asyncDispose]();
  }

  /** Sends a request and reads the whole reply. A status of 400 or more rejects, except those in `accepted`. */
  async call(asked: ApiRequest, options: CallOptions = {}, accepted: readonly number[] = []): Promise<ApiReply> {
    return await runLimited(asked.doing, { timeoutMs: DEFAULT_CALL_TIMEOUT_MS, ...options }, async (signal) => {
      const response = await this.#send(asked, signal);
      const status = response.statusCode ?? 0;
      const body = await readWhole(response, asked.doing);
      if (status >= 400 && !accepted.includes(status)) throw replyError(asked.doing, status, body);
      return { status, body };
    });
  }

  /** Like `call`, with the reply read as JSON; the shape is the API's promise. */
  async callForJson<T>(asked: ApiRequest, options: CallOptions = {}): Promise<T> {
    const { body } = await this.call(asked, options);
    try {
      return JSON.parse(body.toString("utf8")) as T;
    } catch (error) {
      throw new AppError("engine_failed", `the container engine could not ${asked.doing}: its reply is not JSON`, { cause: error });
    }
  }

  /**
   * Sends a request and resolves with the reply as soon as its head is there; the caller reads or destroys it.
   * @param onSent called when the whole request was handed to the engine's socket
   */
  async open(asked: ApiRequest, signal: AbortSignal, onSent?: () => void): Promise<IncomingMessage> {
    const response = await this.#send(asked, signal, onSent);
    const status = response.statusCode ?? 0;
    if (status >= 400) throw replyError(asked.doing, status, await readWhole(response, asked.doing));
    return response;
  }

  async #send(asked: ApiRequest, signal: AbortSignal, onSent?: () => void): Promise<IncomingMessage> {
    await orAborted(this.#endpoint.ready(signal), signal);
    const query = new URLSearchParams(asked.query).toString();
    const body = asked.archive ?? (asked.json === undefined ? undefined : Buffer.from(JSON.stringify(asked.json)));
    const headers: Record<string, string | number> = { host: "engine" };
    if (body !== undefined) {
      headers["content-type"] = asked.archive === undefined ? "application/json" : "application/x-tar";
      if (Buffer.isBuffer(body)) headers["content-length"] = body.length;
    }
    const outgoing = request({
      socketPath: this.#endpoint.socketPath,
      agent: this.#agent,
      method: asked.method,
      path: query === "" ? asked.path : `${asked.path}?${query}`,
      headers,
      signal,
    });
    if (onSent !== undefined) {
      outgoing.once("socket", (socket) => {
        if (socket.connecting) socket.once("connect", onSent);
        else onSent();
      });
    }
    outgoing.on("error", () => {}); // what comes after the reply's head is the reader's to see
    if (body === undefined || Buffer.isBuffer(body)) outgoing.end(body);
    else pipeline(body, outgoing).catch(() => {}); // shows as a request that failed
    try {
      const [response] = (await once(outgoing, "response")) as [IncomingMessage];
      return response;
    } catch (error) {
      throw connectionError(asked.doing, this.#endpoint.socketPath, error);
    }
  }
}

async function readWhole(response: IncomingMessage, doing: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > MAX_REPLY_BYTES) {
        response.destroy();
        throw new AppError("engine_failed", `the container engine could not ${doing}: its reply is larger than 16 MiB`);
      }
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw new AppError("engine_failed", `the connection to the container engine was lost while it should ${doing}`, { cause: error });
  }
  return Buffer.concat(chunks);
}

function connectionError(doing: string, socketPath: string, error: unknown): AppError {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "ENOENT" || code === "ECONNREFUSED") {
    return new AppError("engine_missing", `no container engine answers on ${socketPath}: start it, then try again`, { cause: error });
  }
  if (code === "EACCES") {
    return new AppError("engine_missing", `this user may not talk to the container engine on ${socketPath}`, { cause: error });
  }
  return new AppError("engine_failed", `the connection to the container engine was lost while it should ${doing}`, { cause: error });
}

/** The engine's own words, with a code that says what kind of failure it is. */
function replyError(doing: string, status: number, body: Buffer): AppError {
  const words = messageOf(body);
  const details = { status };
  if (status === 404 && /image/i.test(words)) {
    return new AppError("image_missing", `the container engine could not ${doing}: ${words}`, { details });
  }
  if (status === 404) return new AppError("not_found", `the container engine could not ${doing}: ${words}`, { details });
  if (/name .* is (?:already )?in use/i.test(words)) {
    return new AppError("conflict", `the container engine could not ${doing}: ${words}`, { details });
  }
  return new AppError("engine_failed", `the container engine could not ${doing}: ${words}`, { details });
}

function messageOf(body: Buffer): string {
  const text = body.toString("utf8").trim();
  try {
    const message = (JSON.parse(text) as { message?: unknown }).message;
    if (typeof message === "string" && message !== "") return message;
  } catch {
    // not JSON: the text itself is what it said
  }
  return text === "" ? "it gave no reason" : text.slice(0, 2000);
}
