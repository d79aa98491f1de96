import { Malformed, Reason } from "./malformed.ts";
import { type Packet, PACKET_TYPES, requiredFlags } from "./packets.ts";

/** One packet, cut out of the stream: not yet looked into. */
export interface Frame {
  readonly cmd: Packet["cmd"];
  readonly flags: number;
  readonly body: Buffer;
}

/** What is held of a packet that has not come whole begins with so many bytes, and doubles. */
const FIRST_BYTES = 4096;

/** Cuts a stream of bytes into packets. Holds at most one packet, in one piece of memory, and what was pushed last. */
export class PacketFramer {
  readonly #limitBytes: () => number;
  #input: Buffer = Buffer.alloc(0);
  #header: { cmd: Packet["cmd"]; flags: number; length: number } | undefined;
  #held: Buffer = Buffer.alloc(0);
  #heldBytes = 0;

  /** @param limitBytes most bytes of a packet behind its fixed header */
  constructor(limitBytes: () => number) {
    this.#limitBytes = limitBytes;
  }

  push(bytes: Buffer): void {
    this.#input = this.#input.length === 0 ? bytes : Buffer.concat([this.#input, bytes]);
  }

  /** The next packet that has come whole. @throws Malformed */
  next(): Frame | undefined {
    this.#header ??= this.#readHeader();
    if (this.#header === undefined) return undefined;
    const { cmd, flags, length } = this.#header;
    const body = this.#takeBody(length);
    if (body === undefined) return undefined;
    this.#header = undefined;
    return { cmd, flags, body };
  }

  #readHeader() {
    const [first] = this.#input;
    if (first === undefined) return undefined;
    const cmd = PACKET_TYPES[first >> 4];
    if (cmd === undefined) throw new Malformed("the type of the packet is 0, which is reserved");
    const flags = first & 0x0f;
    if (cmd !== "publish" && flags !== requiredFlags(cmd)) throw new Malformed(`the flags of a ${cmd.toUpperCase()} must not be ${flags}`);
    let length = 0;
    for (let place = 0; place < 4; place += 1) {
      const byte = this.#input[place + 1];
      if (byte === undefined) return undefined;
      length += (byte & 0x7f) * 0x80 ** place;
      if (byte >= 0x80) continue;
      if (byte === 0 && place > 0) throw new Malformed("the length of the packet is not written in its shortest form");
      const limit = this.#limitBytes();
      if (length > limit) {
        throw new Malformed(`the packet has ${length} bytes, and ${limit} may pass (packet_limit)`, Reason.TOO_LARGE);
      }
      this.#input = this.#input.subarray(place + 2);
      return { cmd, flags, length };
    }
    throw new Malformed("the length of the packet has more than 4 bytes");
  }

  #takeBody(length: number): Buffer | undefined {
    if (this.#heldBytes === 0 && this.#input.length >= length) {
      const body = this.#input.subarray(0, length);
      this.#input = this.#input.subarray(length);
      return body;
    }
    const taken = this.#input.subarray(0, length - this.#heldBytes);
    this.#hold(taken, length);
    this.#input = this.#input.subarray(taken.length);
    if (this.#heldBytes < length) return undefined;
    const body = this.#held.subarray(0, length);
    this.#held = Buffer.alloc(0);
    this.#heldBytes = 0;
    return body;
  }

  #hold(bytes: Buffer, length: number): void {
    const needed = this.#heldBytes + bytes.length;
    if (this.#held.length < needed) {
      const grown = Buffer.allocUnsafeSlow(Math.min(length, Math.max(needed, 2 * this.#held.length, FIRST_BYTES)));
      this.#held.copy(grown, 0, 0, this.#heldBytes);
      this.#held = grown;
    }
    bytes.copy(this.#held, this.#heldBytes);
    this.#heldBytes = needed;
  }
}
