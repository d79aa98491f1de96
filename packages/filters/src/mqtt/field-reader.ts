import { isUtf8 } from "node:buffer";
import { Malformed } from "./malformed.ts";

/** Reads the fields of one packet, one after the other (MQTT 5, §1.5), strictly. */
export class FieldReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  byte(): number {
    return this.take(1).readUInt8();
  }

  twoBytes(): number {
    return this.take(2).readUInt16BE();
  }

  fourBytes(): number {
    return this.take(4).readUInt32BE();
  }

  /** A number of variable length, in its shortest form. */
  variable(): number {
    let value = 0;
    for (let place = 0; place < 4; place += 1) {
      const byte = this.byte();
      value += (byte & 0x7f) * 0x80 ** place;
      if (byte < 0x80) {
        if (byte === 0 && place > 0) throw new Malformed("a number is not written in its shortest form");
        return value;
      }
    }
    throw new Malformed("a number of variable length has more than 4 bytes");
  }

  bytes(): Buffer {
    return this.take(this.twoBytes());
  }

  /** A text: valid UTF-8 without U+0000. */
  text(): string {
    const bytes = this.bytes();
    if (!isUtf8(bytes)) throw new Malformed("a text is not valid UTF-8");
    if (bytes.includes(0)) throw new Malformed("a text holds U+0000");
    return bytes.toString("utf8");
  }

  take(count: number): Buffer {
    if (this.left < count) throw new Malformed("a field is longer than its packet");
    const taken = this.#bytes.subarray(this.#at, this.#at + count);
    this.#at += count;
    return taken;
  }

  /** A reader of the next so many bytes alone. */
  part(count: number): FieldReader {
    return new FieldReader(this.take(count));
  }

  rest(): Buffer {
    return this.take(this.left);
  }

  end(): void {
    if (this.left > 0) throw new Malformed("the packet is longer than its fields");
  }
}
