import { AppError, errorFromAnswer, heartbeatPath, heartbeatTranscript, HeartbeatWish } from "@hardshare/protocol";
import { answerPings } from "@hardshare/wire/node";
import { WebSocket } from "ws";
import { normaliseServerUrl } from "../http-connection.ts";

/** Delays before a connection that broke is made again. */
const AGAIN_FIRST_MS = 100;
const AGAIN_MAX_MS = 2000;
const OPEN_TIMEOUT_MS = 5000;
const MAX_FRAME_BYTES = 1024;
/** When the server answered nothing for so long, and for so many heartbeats (two windows), another connection is made. */
const MIN_PATIENCE_MS = 10_000;
const PATIENCE_BEATS = 8;

export interface HeartbeatsOptions {
  /** The server's address, such as `http://127.0.0.1:8484`. */
  url: string;
  token: string;
  instanceId: string;
  epoch: number;
  /** Text of an unencrypted Ed25519 private key file that may log in at the instance. */
  privateKey: string;
  /** Ends them: whoever is there no longer must not be taken for being there. */
  signal: AbortSignal;
}

/**
 * Says again and again that the user is there, for the dead-man's switch of an instance, until the signal; at once over
 * where there is no such switch. A connection that breaks is made again.
 * @throws AppError what the server refused for good; `bad_input` for a key that cannot sign
 */
export async function sendHeartbeats(options: HeartbeatsOptions): Promise<void> {
  const { signWith } = await import("@hardshare/wire/ssh");
  const { instanceId, epoch, privateKey, signal } = options;
  const sign = (at: number) => signWith(privateKey, heartbeatTranscript(instanceId, epoch, at));
  sign(0); // a key that cannot is told at once
  let delayMs = AGAIN_FIRST_MS;
  while (!signal.aborted) {
    const outcome = await connectOnce(options, sign, () => (delayMs = AGAIN_FIRST_MS));
    if (outcome === "over") return;
    await wait(delayMs, signal);
    delayMs = Math.min(delayMs * 2, AGAIN_MAX_MS);
  }
}

/** @returns whether it broke, or there is nothing to send any more */
function connectOnce(options: HeartbeatsOptions, sign: (at: number) => string, onOpen: () => void): Promise<"broke" | "over"> {
  const { token, instanceId, signal } = options;
  const url = normaliseServerUrl(options.url).replace(/^http/, "ws") + heartbeatPath(encodeURIComponent(instanceId));
  const socket = new WebSocket(url, {
    headers: { authorization: `Bearer ${token}` },
    handshakeTimeout: OPEN_TIMEOUT_MS,
    maxPayload: MAX_FRAME_BYTES,
    perMessageDeflate: false,
    autoPong: false,
  });
  answerPings(socket);
  const leave = () => socket.terminate();
  signal.addEventListener("abort", leave, { once: true });
  let timer: NodeJS.Timeout | undefined;
  return new Promise<"broke" | "over">((resolve, reject) => {
    socket.on("error", () => {}); // it is closed after that
    socket.once("unexpected-response", (_request, response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text = (text + chunk).slice(0, 65_536)));
      response.once("close", () => {
        const refusal = errorFromAnswer(response.statusCode ?? 0, text, `GET ${heartbeatPath(instanceId)}`);
        if (refusal.shouldRetry()) resolve("broke");
        else reject(refusal);
      });
    });
    socket.once("message", (data: Buffer) => {
      const wish = readWish(data);
      if (wish === undefined) {
        reject(new AppError("protocol_violation", "the server did not say how often it wants heartbeats"));
        return socket.terminate();
      }
      onOpen();
      let heardAt = performance.now();
      socket.on("pong", () => (heardAt = performance.now()));
      const patienceMs = Math.max(MIN_PATIENCE_MS, PATIENCE_BEATS * wish.everyMs);
      const beat = () => {
        if (performance.now() - heardAt > patienceMs) return socket.terminate(); // after a change of networks TCP would go on for minutes
        const at = performance.timeOrigin + performance.now(); // goes on evenly when the computer's clock is set
        if (socket.readyState === socket.OPEN && socket.bufferedAmount === 0) socket.send(JSON.stringify({ at, signature: sign(at) }));
        socket.ping(); // afterwards: with TLS it waits to be sent, and no heartbeat is sent behind what waits
      };
      beat();
      timer = setInterval(beat, wish.everyMs);
    });
    socket.once("close", (code) => resolve(code === 1000 || signal.aborted ? "over" : "broke"));
  }).finally(() => {
    clearInterval(timer);
    signal.removeEventListener("abort", leave);
  });
}

function readWish(data: Buffer): { everyMs: number } | undefined {
  try {
    return HeartbeatWish.safeParse(JSON.parse(data.toString("utf8"))).data;
  } catch {
    return undefined;
  }
}

function wait(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const settle = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", settle);
      resolve();
    };
    const timer = setTimeout(settle, delayMs);
    signal.addEventListener("abort", settle, { once: true });
    if (signal.aborted) settle();
  });
}
