import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { Clock } from "@hardshare/runtime";

/** What the filter itself answers, in place of the device. */
export interface Answer {
  readonly status: number;
  /** Becomes the JSON body. */
  readonly body: { readonly error: string; readonly because: string; readonly rule?: string };
}

/** How long what the client still sends is read and dropped after the answer, so that a reset does not overtake it. */
const LINGER_MS = 2000;

/**
 * Answers at once, then closes the connection gently.
 * @param hasBody false for the answer to a HEAD request
 */
export function answerAndClose(socket: Socket, answer: Answer, hasBody: boolean, clock: Clock): void {
  const text = `${JSON.stringify(answer.body)}\n`;
  const head = [
    `HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status] ?? ""}`,
    "content-type: application/json; charset=utf-8",
    `content-length: ${Buffer.byteLength(text)}`,
    "connection: close",
  ];
  if (socket.writable) socket.write(`${head.join("\r\n")}\r\n\r\n${hasBody ? text : ""}`);
  closeGently(socket, clock);
}

/**
 * Ends the connection's writing side, and closes it when the client has, or after 2 s. The caller sees to it that what
 * still comes in is dropped.
 */
export function closeGently(socket: Socket, clock: Clock): void {
  if (socket.destroyed) return;
  const linger = clock.after(LINGER_MS, () => socket.destroy());
  socket.once("close", () => linger[Symbol.dispose]());
  socket.end();
}
