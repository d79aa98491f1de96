import type { IncomingMessage } from "node:http";
import { Duplex } from "node:stream";
import { AppError, errorFromAnswer, formatDuration, MAX_TUNNEL_FRAME_BYTES, TUNNEL_BUFFER_BYTES, tunnelPath } from "@hardshare/protocol";
import { answerPings } from "@hardshare/wire/node";
import { type ClientOptions, WebSocket } from "ws";
import { normaliseServerUrl } from "../http-connection.ts";

/** Milliseconds until the server must have accepted the tunnel. */
const OPEN_TIMEOUT_MS = 15_000;
/** Silence after which TCP asks whether the server is still there: nobody else does while only it sends. */
const TCP_KEEP_ALIVE_MS = 30_000;
/** Milliseconds that the other end has to confirm the close. */
const CLOSE_TIMEOUT_MS = 2_000;
/** Longest frame that is taken from the server. */
const MAX_RECEIVED_FRAME_BYTES = 1024 * 1024;
/** Longest error answer that is read. */
const MAX_ERROR_BYTES = 64 * 1024;

export interface TunnelOptions {
  /** The server's address, such as `http://127.0.0.1:8484`. */
  url: string;
  token: string;
  instanceId: string;
  /** Ends the tunnel. */
  signal?: AbortSignal | undefined;
}

/**
 * One connection to an instance through the server's own port, as a stream: at most `TUNNEL_BUFFER_BYTES` wait in each
 * direction, then the writer is stopped. The stream's end is told to the other side, whose bytes go on.
 * @throws AppError what the server refused with, `server_unreachable`, `timed_out`; later the stream fails with `connection_lost`
 */
export function openTunnel(options: TunnelOptions): Promise<Duplex> {
  const { token, instanceId, signal } = options;
  const url = normaliseServerUrl(options.url);
  signal?.throwIfAborted();
  const socket = new WebSocket(url.replace(/^http/, "ws") + tunnelPath(encodeURIComponent(instanceId)), socketOptions(token));
  socket.binaryType = "nodebuffer";
  answerPings(socket);
  socket.once("upgrade", (answer) => answer.socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS));
  return new Promise((resolve, reject) => {
    const giveUp = () => {
      reject(signal?.reason as Error);
      socket.terminate();
    };
    signal?.addEventListener("abort", giveUp, { once: true });
    const settle = () => signal?.removeEventListener("abort", giveUp);
    socket.once("open", () => {
      settle();
      const stream = new TunnelStream(socket);
      const end = () => stream.destroy();
      signal?.addEventListener("abort", end, { once: true });
      stream.once("close", () => signal?.removeEventListener("abort", end));
      resolve(stream);
    });
    socket.once("unexpected-response", (_request, response) => {
      settle();
      readError(response).then(reject, reject);
      socket.on("error", () => {}); // told by the answer
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      settle();
      reject(openFailure(error, url));
    });
  });
}

function socketOptions(token: string): ClientOptions & { closeTimeout: number } {
  return {
    headers: { authorization: `Bearer ${token}` },
    handshakeTimeout: OPEN_TIMEOUT_MS,
    closeTimeout: CLOSE_TIMEOUT_MS,
    maxPayload: MAX_RECEIVED_FRAME_BYTES,
    perMessageDeflate: false,
    autoPong: false,
  };
}

/** The WebSocket as a stream. */
class TunnelStream extends Duplex {
  readonly #socket: WebSocket;
  /** Whether the other side said that it sends no more. */
  #hasEnded = false;

  constructor(socket: WebSocket) {
    super({ allowHalfOpen: true, highWaterMark: TUNNEL_BUFFER_BYTES });
    this.#socket = socket;
    // What comes at once must not end the stream before its holder can listen.
    socket.pause();
    setImmediate(() => this._read());
    socket.removeAllListeners("error");
    socket.on("message", (data: Buffer, isBinary: boolean) => {
      if (!isBinary) return this.destroy(new AppError("protocol_violation", "the server sent text in a tunnel, which carries bytes"));
      if (this.#hasEnded) return undefined;
      if (data.length === 0) {
        this.#hasEnded = true;
        this.push(null);
      } else if (!this.push(data)) socket.pause();
      return undefined;
    });
    socket.on("error", (error) => this.destroy(lost(error.message, error)));
    socket.on("close", (code, reason) => {
      if (code !== 1000) return this.destroy(lost(reason.toString() || `code ${code}`));
      if (this.readableEnded) return this.destroy();
      this.once("end", () => this.destroy());
      if (!this.#hasEnded) this.push(null);
      return undefined;
    });
  }

  override _read(): void {
    if (this.#socket.isPaused) this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    for (let at = 0; at + MAX_TUNNEL_FRAME_BYTES < chunk.length; at += MAX_TUNNEL_FRAME_BYTES) {
      this.#socket.send(chunk.subarray(at, at + MAX_TUNNEL_FRAME_BYTES), { binary: true });
    }
    const rest = chunk.length % MAX_TUNNEL_FRAME_BYTES || Math.min(chunk.length, MAX_TUNNEL_FRAME_BYTES);
    if (rest === 0) return done();
    this.#socket.send(chunk.subarray(chunk.length - rest), { binary: true }, (error) => done(error && lost(error.message, error)));
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return done();
    this.#socket.send(Buffer.alloc(0), { binary: true }, () => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (this.#socket.isPaused) this.#socket.resume(); // or it would never see the other side's close
    if (error) this.#socket.terminate();
    else this.#socket.close(1000);
    done(error);
  }
}

function lost(reason: string, cause?: unknown): AppError {
  return new AppError("connection_lost", `the tunnel broke (${reason}); look at the instance with \`hardshare info\` and connect again`, {
    cause,
  });
}

function openFailure(error: NodeJS.ErrnoException, url: string): AppError {
  if (error.message === "Opening handshake has timed out") {
    return new AppError("timed_out", `the server at ${url} did not open the tunnel within ${formatDuration(OPEN_TIMEOUT_MS / 1000)}`, {
      cause: error,
    });
  }
  return new AppError("server_unreachable", `can't reach the server at ${url} (${error.code ?? error.message}); check that it runs`, {
    cause: error,
  });
}

async function readError(response: IncomingMessage): Promise<AppError> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_ERROR_BYTES) break;
    chunks.push(chunk);
  }
  return errorFromAnswer(response.statusCode ?? 500, Buffer.concat(chunks).toString("utf8"), "opening the tunnel");
}
