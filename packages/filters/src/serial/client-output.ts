import type { Socket } from "node:net";
import type { Clock } from "@hardshare/runtime";
import type { SerialFraming } from "./framer.ts";

/** A device that says nothing for so long in the middle of a line has ended it: it is a prompt, for instance. */
const PROMPT_MS = 100;
const CR = 0x0d;
const LF = 0x0a;

/** Of a client's connection. */
type Connection = Pick<Socket, "write" | "writable">;

/** What a client of a `serial` filter is sent: what the device says, and between its lines the refusals of the filter. */
export class ClientOutput implements Disposable {
  readonly #socket: Connection;
  readonly #clock: Clock;
  readonly #framing: () => SerialFraming;
  /** Refusals that wait for the end of the device's line. */
  #waiting = "";
  #lastByte: number | undefined;
  #prompt: Disposable | undefined;

  constructor(socket: Connection, clock: Clock, framing: () => SerialFraming) {
    this.#socket = socket;
    this.#clock = clock;
    this.#framing = framing;
  }

  /** Hands on what the device said. */
  send(bytes: Buffer): void {
    this.#prompt?.[Symbol.dispose]();
    const boundary = this.#waiting === "" ? -1 : this.#findBoundary(bytes);
    if (boundary >= 0) {
      if (boundary > 0) this.#socket.write(bytes.subarray(0, boundary));
      this.#writeWaiting();
    }
    if (boundary < bytes.length) this.#socket.write(boundary > 0 ? bytes.subarray(boundary) : bytes);
    this.#lastByte = bytes.at(-1) ?? this.#lastByte;
    this.#expectPrompt();
  }

  /** Tells of a refusal, as a line of its own. */
  tell(refusal: string): void {
    const { end } = this.#framing();
    this.#waiting += `${refusal}${Array.isArray(end) ? Buffer.from(end).toString("latin1") : "\r\n"}`;
    if (this.#isBetweenLines) this.#writeWaiting();
    else this.#expectPrompt();
  }

  [Symbol.dispose](): void {
    this.#prompt?.[Symbol.dispose]();
  }

  /** Not after a CR, which may be followed by its LF. */
  get #isBetweenLines(): boolean {
    return this.#lastByte === undefined || this.#framing().length !== undefined || this.#isEnd(this.#lastByte);
  }

  #isEnd(byte: number): boolean {
    const { end } = this.#framing();
    return byte === (Array.isArray(end) ? end.at(-1) : LF);
  }

  /** Where in these bytes the device's line has ended, or -1. */
  #findBoundary(bytes: Buffer): number {
    const isLines = !Array.isArray(this.#framing().end);
    let before = this.#lastByte;
    for (const [index, byte] of bytes.entries()) {
      if (isLines && before === CR && byte !== LF) return index;
      if (this.#isEnd(byte)) return index + 1;
      before = byte;
    }
    return -1;
  }

  #writeWaiting(): void {
    this.#socket.write(this.#waiting, "latin1");
    this.#waiting = "";
  }

  #expectPrompt(): void {
    this.#prompt?.[Symbol.dispose]();
    if (this.#waiting === "") return;
    this.#prompt = this.#clock.after(PROMPT_MS, () => {
      this.#lastByte = undefined;
      if (this.#socket.writable) this.#writeWaiting();
    });
  }
}
