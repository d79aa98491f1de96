import type { Socket } from "node:net";
import type { Clock } from "@hardshare/runtime";
import { cut, onOrderlyEnd } from "@hardshare/runtime/sockets";
import { ClientOutput } from "./client-output.ts";
import { type SerialFraming, SerialFramer } from "./framer.ts";
import type { MessageJudge } from "./message-judge.ts";

/** Bytes that may wait for a client before the device is read no more. */
const MAX_WAITING_BYTES = 256 * 1024;
/** Bytes of a client that are looked through for real-time bytes while messages wait. */
const MAX_HELD_BYTES = 64 * 1024;
/** How long a client that sends nothing more is sent what the device says. */
const LINGER_MS = 2000;

/** What a client has to do with the device. */
export interface SerialClientOptions {
  readonly socket: Socket;
  readonly judge: MessageJudge;
  readonly clock: Clock;
  /** The framing in force now: another object only when another one was read. */
  readonly framing: () => SerialFraming;
  readonly canWrite: () => boolean;
  /** Whether messages wait for the device's answer to the one before; real-time bytes do not. */
  readonly isAnswerOwed: () => boolean;
  /** @param isMessage or a real-time byte, or a part of a message that was written */
  readonly write: (bytes: Buffer, isMessage: boolean) => void;
  /** Whether the device was written to by somebody else since this client's last message. */
  readonly hasLostTurn: () => boolean;
  /** It takes more again, or is gone. */
  readonly onRelieved: () => void;
}

/** One connection to a `serial` filter: cuts what comes in into messages, and has each judged when the device takes it. */
export class SerialClient {
  readonly #options: SerialClientOptions;
  readonly #output: ClientOutput;
  #framer: SerialFramer;
  #isBurdened = false;

  constructor(options: SerialClientOptions) {
    this.#options = options;
    this.#framer = new SerialFramer(options.framing());
    const { socket } = options;
    this.#output = new ClientOutput(socket, options.clock, () => this.#framer.framing);
    socket.on("data", (bytes: Buffer) => {
      this.#framer.push(bytes);
      this.pump();
    });
    socket.on("drain", () => this.#relieve());
    onOrderlyEnd(socket, () => {
      // Nothing tells whether it still reads: it has some time for the answers to what it sent last.
      const linger = options.clock.after(LINGER_MS, () => socket.end());
      socket.once("close", () => linger[Symbol.dispose]());
    });
    socket.on("error", () => {}); // `close` follows
    socket.once("close", () => {
      this.#output[Symbol.dispose]();
      this.#relieve();
    });
  }

  /** Whether what it does not read holds up the device. */
  get isBurdened(): boolean {
    return this.#isBurdened;
  }

  /** Judges what has come, message by message, for as long as the device takes what passes. */
  pump(): void {
    const { socket, judge, canWrite, isAnswerOwed, write, hasLostTurn } = this.#options;
    while (canWrite()) {
      if (!this.#keepFraming()) return this.cut();
      const isOwed = isAnswerOwed();
      const piece = isOwed ? this.#framer.nextRealtime() : this.#framer.next();
      if (piece === undefined) {
        if (isOwed && this.#framer.waitingBytes > MAX_HELD_BYTES) break;
        socket.resume();
        return;
      }
      if (piece.kind === "line feed" && hasLostTurn()) continue; // the end of a line is not torn from it
      const { bytes, refusal } = judge.judge(piece);
      if (bytes !== undefined) write(bytes, piece.kind === "message");
      if (refusal !== undefined) this.#tell(refusal);
    }
    socket.pause();
  }

  /** Hands on what the device sent. */
  send(bytes: Buffer): void {
    const { socket } = this.#options;
    if (!socket.writable) return;
    this.#output.send(bytes);
    this.#isBurdened = socket.writableLength > MAX_WAITING_BYTES;
  }

  /** Of a client that does not read, what it says must still be heard: it is spared the answer. */
  #tell(refusal: string): void {
    const { socket } = this.#options;
    if (socket.writable && socket.writableLength < MAX_WAITING_BYTES) this.#output.tell(refusal);
  }

  /** With a reset, so that nobody takes a torn stream for a whole one. */
  cut(): void {
    cut(this.#options.socket);
  }

  /** With another framing in force, what was cut by the one before can't be judged any more: false. */
  #keepFraming(): boolean {
    const framing = this.#options.framing();
    if (framing === this.#framer.framing) return true;
    if (this.#framer.isMidway) return false;
    const framer = new SerialFramer(framing);
    framer.push(this.#framer.takeWaiting());
    this.#framer = framer;
    return true;
  }

  #relieve(): void {
    if (!this.#isBurdened) return;
    this.#isBurdened = false;
    this.#options.onRelieved();
  }
}
