import type { Writable } from "node:stream";

const LENGTH_BYTES = 2;

/** The longest message that such a stream can carry. */
export const MAX_MESSAGE_BYTES = 0xffff;

/** Takes apart a stream of DNS messages, each after its length (RFC 1035 section 4.2.2). It holds one message at most. */
export class MessageReader {
  readonly #onMessage: (message: Buffer) => void;
  readonly #maxBytes: number;
  #kept = Buffer.alloc(0);

  constructor(onMessage: (message: Buffer) => void, maxBytes = MAX_MESSAGE_BYTES) {
    this.#onMessage = onMessage;
    this.#maxBytes = maxBytes;
  }

  /** @returns false when a message is longer than `maxBytes`: nothing after it can be read */
  push(chunk: Buffer): boolean {
    let rest = Buffer.concat([this.#kept, chunk]);
    while (rest.length >= LENGTH_BYTES) {
      const length = rest.readUInt16BE(0);
      if (length > this.#maxBytes) return false;
      const end = LENGTH_BYTES + length;
      if (rest.length < end) break;
      this.#onMessage(rest.subarray(LENGTH_BYTES, end));
      rest = rest.subarray(end);
    }
    this.#kept = rest;
    return true;
  }
}

/** @throws RangeError for a message of more than `MAX_MESSAGE_BYTES` */
export function writeMessage(stream: Writable, message: Buffer): void {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt16BE(message.length);
  stream.write(Buffer.concat([length, message]));
}
