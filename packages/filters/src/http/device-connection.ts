import { Agent, type ClientRequest, type IncomingMessage, request as httpRequest, type ServerResponse } from "node:http";
import type { Clock } from "@hardshare/runtime";
import { selectEndToEnd, type StrictRequest } from "./strict-request.ts";

/** Where the device listens. */
export interface DeviceAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * How forwarding a request ended: `done`; `close` when the device answered before it had read the whole request, so that
 * the client's connection can't go on; `broken` when the answer was cut off; else nothing was answered yet and `status`
 * says what to answer.
 */
export type ForwardResult = "done" | "close" | "broken" | { readonly status: 502 | 504; readonly because: string };

/** How long a device may take to accept a connection. */
export const CONNECT_TIMEOUT_MS = 5000;
/** An idle connection is closed before common devices close theirs (5 s), so that no request meets a closing one. */
const IDLE_MS = 2000;

/** The device's side of one client connection: at most one connection to the device, used by this client alone. */
export class DeviceConnection implements Disposable {
  readonly #device: DeviceAddress;
  readonly #clock: Clock;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1, maxFreeSockets: 1, timeout: IDLE_MS });

  constructor(device: DeviceAddress, clock: Clock) {
    this.#device = device;
    this.#clock = clock;
  }

  /**
   * Writes the request anew to the device and its answer to the client; both bodies stream, each as fast as its reader.
   * @param gone aborted when the client has left: the device's connection is then destroyed at once
   */
  async forward(request: StrictRequest, incoming: IncomingMessage, response: ServerResponse, gone: AbortSignal): Promise<ForwardResult> {
    const { host, port } = this.#device;
    const outgoing = httpRequest({
      agent: this.#agent,
      host,
      port,
      method: request.method,
      path: request.target,
      headers: [...writeHost(this.#device), ...request.headers, ...writeFraming(request)],
      insecureHTTPParser: false,
    });
    if (hasBody(request)) outgoing.shouldKeepAlive = false; // as `writeFraming` told the device
    using connecting = this.#limitConnecting(outgoing);
    let leave = () => {};
    const result = await new Promise<ForwardResult>((resolve) => {
      leave = () => resolve("broken");
      const fail = (error: Error) => {
        // Once the answer has begun, its own end tells: "finish" below, or its "error".
        if (!response.headersSent) resolve(describeFailure(error, connecting.hasTimedOut()));
      };
      gone.addEventListener("abort", leave);
      outgoing.on("error", fail);
      outgoing.on("close", () => fail(new Error("it closed the connection")));
      outgoing.on("upgrade", (_answer, socket) => {
        socket.destroy();
        fail(new Error("it answered 101 Switching Protocols, which nobody asked for"));
      });
      outgoing.on("continue", () => {
        if (request.expectsContinue) response.writeContinue();
      });
      outgoing.on("response", (answer) => {
        answer.on("error", () => resolve("broken"));
        try {
          response.sendDate = false;
          response.writeHead(answer.statusCode ?? 0, answer.statusMessage ?? "", selectEndToEnd(answer.rawHeaders));
        } catch (error) {
          fail(error as Error);
          return;
        }
        response.once("finish", () => resolve(outgoing.writableEnded ? "done" : "close"));
        answer.pipe(response);
      });
      sendBody(request, incoming, outgoing);
    });
    gone.removeEventListener("abort", leave);
    if (result !== "done") outgoing.destroy();
    return result;
  }

  /** Closes the connection to the device, whatever it carries. */
  [Symbol.dispose](): void {
    this.#agent.destroy();
  }

  #limitConnecting(outgoing: ClientRequest): Disposable & { hasTimedOut(): boolean } {
    let timer: Disposable | undefined;
    let hasTimedOut = false;
    const stop = () => timer?.[Symbol.dispose]();
    outgoing.once("socket", (socket) => {
      if (!socket.connecting) return;
      timer = this.#clock.after(CONNECT_TIMEOUT_MS, () => {
        hasTimedOut = true;
        outgoing.destroy(new Error(`it did not accept the connection within ${CONNECT_TIMEOUT_MS / 1000} s`));
      });
      socket.once("connect", stop);
    });
    return { hasTimedOut: () => hasTimedOut, [Symbol.dispose]: stop };
  }
}

function writeHost({ host, port }: DeviceAddress): string[] {
  const name = host.includes(":") ? `[${host}]` : host;
  return ["Host", port === 80 ? name : `${name}:${port}`];
}

/** Methods without a meaning for a body: no length is written when there is none (RFC 9110 §8.6). */
const BODILESS: ReadonlySet<string> = new Set(["GET", "HEAD", "DELETE", "OPTIONS"]);

function hasBody({ body }: StrictRequest): boolean {
  return body !== "none" && body !== 0;
}

/**
 * After a request with a body comes no other on the same connection, and the device is told so: many small servers
 * answer without having read the body, and would take it for the next request, which nobody judged.
 */
function writeFraming(request: StrictRequest): string[] {
  const { method, body } = request;
  if (!hasBody(request)) return body === "none" && BODILESS.has(method) ? [] : ["Content-Length", "0"];
  const framing = body === "chunked" ? ["Transfer-Encoding", "chunked"] : ["Content-Length", String(body)];
  return [...framing, ...(request.expectsContinue ? ["Expect", "100-continue"] : []), "Connection", "close"];
}

function sendBody(request: StrictRequest, incoming: IncomingMessage, outgoing: ClientRequest): void {
  if (!hasBody(request)) {
    incoming.resume();
    outgoing.end();
    return;
  }
  // The head goes first: the device may want to answer, or say 100 Continue, before the body comes. `flushHeaders` would
  // write it as UTF-8 and so change bytes beyond ASCII.
  outgoing.write(Buffer.alloc(0));
  incoming.pipe(outgoing);
}

function describeFailure(error: Error, hasTimedOut: boolean): ForwardResult {
  return { status: hasTimedOut ? 504 : 502, because: `the device can't be reached or its answer can't be read: ${error.message}` };
}
