import type { SerialFilterRules } from "@hardshare/protocol";

/** How the stream of bytes is cut into messages: `messages` of a rules file. */
export type SerialFraming = SerialFilterRules["messages"];

/** What the stream of bytes was cut into. Bytes are those received: nothing is left out, and nothing is twice. */
export type SerialPiece =
  /** A whole message: its text (a character for each byte) without the bytes that end it. */
  | { readonly kind: "message"; readonly text: string; readonly end: string }
  /** A byte that is a message of its own. */
  | { readonly kind: "realtime"; readonly text: string }
  /** The LF of a CRLF: it goes the way of the line that the CR ended. */
  | { readonly kind: "line feed" }
  /** A message that is longer than the limit, told once; what follows up to its end is dropped. `text` is how it begins. */
  | { readonly kind: "too long"; readonly text: string };

/** Bytes of a message that is too long by which people know it again. */
const KEPT_OF_TOO_LONG = 64;
const CR = 0x0d;
const LF = 0x0a;

/**
 * Cuts a stream of bytes into messages, one at a time, so that the next can wait while the device takes the one before.
 * It keeps at most what was pushed and not yet cut, and one message.
 */
export class SerialFramer {
  readonly framing: SerialFraming;
  readonly #realtime: ReadonlySet<number>;
  /** Bytes that end a message; undefined for lines, and for messages of a length. */
  readonly #delimiter: Buffer | undefined;
  /** Most bytes of a message with its end. */
  readonly #capacity: number;
  readonly #message: Buffer;
  #size = 0;
  #isTooLong = false;
  #hasEndedByCr = false;
  #waiting: Buffer = Buffer.alloc(0);

  constructor(framing: SerialFraming) {
    this.framing = framing;
    this.#realtime = new Set(framing.realtime);
    this.#delimiter = Array.isArray(framing.end) ? Buffer.from(framing.end) : undefined;
    this.#capacity = framing.length ?? framing.limit + (this.#delimiter?.length ?? 0);
    this.#message = Buffer.alloc(this.#capacity);
  }

  /** Whether a message has begun that has not yet ended. */
  get isMidway(): boolean {
    return this.#size > 0 || this.#isTooLong;
  }

  push(bytes: Buffer): void {
    this.#waiting = this.#waiting.length === 0 ? bytes : Buffer.concat([this.#waiting, bytes]);
  }

  /** The bytes that are not yet cut; from now on they are the caller's. */
  takeWaiting(): Buffer {
    const waiting = this.#waiting;
    this.#waiting = Buffer.alloc(0);
    return waiting;
  }

  /** Bytes that are not yet cut. */
  get waitingBytes(): number {
    return this.#waiting.length;
  }

  /** The next byte that is a message of its own, before all that waits with it; undefined when there is none. */
  nextRealtime(): SerialPiece | undefined {
    const bytes = this.#waiting;
    const index = bytes.findIndex((byte) => this.#realtime.has(byte));
    if (index === -1) return undefined;
    this.#waiting = Buffer.concat([bytes.subarray(0, index), bytes.subarray(index + 1)]);
    return { kind: "realtime", text: String.fromCharCode(bytes[index] ?? 0) };
  }

  /** The next piece, or undefined when more bytes are needed. */
  next(): SerialPiece | undefined {
    const bytes = this.#waiting;
    for (let index = 0; index < bytes.length; index += 1) {
      const piece = this.#take(bytes[index] ?? 0);
      if (piece === undefined) continue;
      this.#waiting = bytes.subarray(index + 1);
      return piece;
    }
    this.#waiting = Buffer.alloc(0);
    return undefined;
  }

  #take(byte: number): SerialPiece | undefined {
    if (this.#realtime.has(byte)) return { kind: "realtime", text: String.fromCharCode(byte) };
    if (this.framing.length !== undefined) return this.#takeOfLength(byte, this.framing.length);
    if (this.#delimiter !== undefined) return this.#takeDelimited(byte, this.#delimiter);
    return this.#takeOfLine(byte);
  }

  #takeOfLine(byte: number): SerialPiece | undefined {
    const isAfterCr = this.#hasEndedByCr;
    this.#hasEndedByCr = byte === CR;
    if (byte === LF && isAfterCr) return { kind: "line feed" };
    if (byte === CR || byte === LF) return this.#end(this.#size, String.fromCharCode(byte));
    if (this.#isTooLong) return undefined;
    if (this.#size === this.#capacity) return this.#overflow();
    this.#message[this.#size++] = byte;
    return undefined;
  }

  #takeDelimited(byte: number, delimiter: Buffer): SerialPiece | undefined {
    if (this.#isTooLong && this.#size === delimiter.length) this.#keepLast(delimiter.length - 1);
    this.#message[this.#size++] = byte;
    const contentSize = this.#size - delimiter.length;
    if (contentSize >= 0 && this.#message.subarray(contentSize, this.#size).equals(delimiter)) {
      return this.#end(contentSize, delimiter.toString("latin1"));
    }
    if (this.#size < this.#capacity) return undefined;
    const piece = this.#overflow();
    this.#keepLast(delimiter.length); // what may be the beginning of its end
    return piece;
  }

  #keepLast(size: number): void {
    this.#message.copyWithin(0, this.#size - size, this.#size);
    this.#size = size;
  }

  #takeOfLength(byte: number, length: number): SerialPiece | undefined {
    this.#message[this.#size++] = byte;
    return this.#size === length ? this.#end(length, "") : undefined;
  }

  #end(contentSize: number, end: string): SerialPiece | undefined {
    const wasTooLong = this.#isTooLong;
    const text = wasTooLong ? "" : this.#message.toString("latin1", 0, contentSize);
    this.#size = 0;
    this.#isTooLong = false;
    return wasTooLong ? undefined : { kind: "message", text, end };
  }

  #overflow(): SerialPiece {
    this.#isTooLong = true;
    return { kind: "too long", text: this.#message.toString("latin1", 0, Math.min(this.#size, KEPT_OF_TOO_LONG)) };
  }
}
