import type { Socket } from "node:net";
import { AppError } from "@hardshare/protocol";
import { WebSocket } from "ws";
import { MAX_SEND_BUFFER_BYTES } from "../channel/frame-channel.ts";
import type { MessageSocket } from "../channel/message-socket.ts";

/** Largest message that the server takes from a peer. */
export const MAX_MESSAGE_BYTES = 1024 * 1024;
/** Largest message that a peer takes from its server, whose key it has pinned: the desired state of a hub with 10^5 endpoints. */
const MAX_SERVER_MESSAGE_BYTES = 64 * 1024 * 1024;
/** Longest time for a connection to be made. */
export const CONNECT_TIMEOUT_MS = 10_000;
/** How long the other side may take to answer a close before the connection is cut. */
const CLOSE_GRACE_MS = 1000;

/** Bytes that may wait for the other side when it asks for a sign of life; while there are more it gets none: they are one. */
const MAX_PONG_BACKLOG_BYTES = 64 * 1024;

/**
 * Answers pings (RFC 6455, section 5.5.3), for a socket made with `autoPong: false`: the library's own answers to
 * somebody who asks and never reads would fill the memory.
 */
export function answerPings(socket: WebSocket, maxBacklogBytes = MAX_PONG_BACKLOG_BYTES): void {
  socket.on("ping", (data) => {
    if (socket.readyState === WebSocket.OPEN && socket.bufferedAmount <= maxBacklogBytes) socket.pong(data);
  });
}

/** Connects a WebSocket for a channel. */
export async function openWebSocket(url: string, signal: AbortSignal): Promise<MessageSocket> {
  const socket = new WebSocket(url, {
    maxPayload: MAX_SERVER_MESSAGE_BYTES,
    handshakeTimeout: CONNECT_TIMEOUT_MS,
    perMessageDeflate: false,
    autoPong: false,
  });
  // Up to what ends the channel: the server takes a host that does not answer for gone, and lets a copy take its place.
  answerPings(socket, MAX_SEND_BUFFER_BYTES);
  const abort = () => socket.terminate();
  signal.addEventListener("abort", abort, { once: true });
  // Wrapped before it is open, so that no early message is missed.
  const wrapped = wrapWebSocket(socket);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("open", resolve);
      socket.once("error", (error) =>
        reject(new AppError("server_unreachable", `cannot connect to ${url}: ${error.message}`, { cause: error })),
      );
      socket.once("close", () => reject(new AppError("server_unreachable", `cannot connect to ${url}: closed`)));
      if (signal.aborted) abort();
    });
  } finally {
    signal.removeEventListener("abort", abort);
  }
  return wrapped;
}

/** Wraps a WebSocket, open or about to be, for a channel. Binary messages break the protocol. */
export function wrapWebSocket(socket: WebSocket): MessageSocket {
  const early: string[] = [];
  let listener: Parameters<MessageSocket["listen"]>[0] | undefined;
  let closeReason: string | undefined;
  let lastError: string | undefined;

  socket.on("message", (data, isBinary) => {
    if (isBinary) return socket.close(1003, "text messages only");
    const text = (data as Buffer).toString("utf8");
    if (listener === undefined) early.push(text);
    else listener.onText(text);
  });
  socket.on("error", (error) => (lastError = error.message));
  socket.on("close", (_code, reason) => {
    closeReason = reason.toString("utf8") || lastError || "connection lost";
    listener?.onClose(closeReason);
  });

  return {
    send: (text) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(text);
    },
    bufferedBytes: () => socket.bufferedAmount,
    // ws has no documented way to it. Absent before the handshake and after the end.
    bytesRead: () => (socket as unknown as { _socket?: Socket | null })._socket?.bytesRead ?? 0,
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close: (reason) => {
      socket.close(1000, reason.replace(/[^ -~]/g, "?").slice(0, 120)); // at most 123 bytes (RFC 6455 §5.5)
      const timer = setTimeout(() => socket.terminate(), CLOSE_GRACE_MS);
      socket.once("close", () => clearTimeout(timer));
    },
    destroy: () => socket.terminate(),
    listen(given) {
      listener = given;
      for (const text of early.splice(0)) given.onText(text);
      if (closeReason !== undefined) given.onClose(closeReason);
    },
  };
}
