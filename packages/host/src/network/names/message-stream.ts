import type { Writable } from "node:stream";

const LENGTH_BYTES = 2;

/** Takes apart a stream of DNS messages, each after its length (RFC 1035 section 4.2.2). It holds 64 KiB at most. */
export class MessageReader {
  readonly #onMessage: (message: Buffer) => void;
  #kept = Buffer.alloc(0);

  constructor(onMessage: (message: Buffer) => void) {
    this.#onMessage = onMessage;
  }

  push(chunk: Buffer): void {
    let rest = Buffer.concat([this.#kept, chunk]);
    while (rest.length >= LENGTH_BYTES) {
      const end = LENGTH_BYTES + rest.readUInt16BE(0);
      if (rest.length < end) break;
      this.#onMessage(rest.subarray(LENGTH_BYTES, end));
      rest = rest.subarray(end);
    }
    this.#kept = rest;
  }
}

export function writeMessage(stream: Writable, message: Buffer): void {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt16BE(message.length);
  stream.write(Buffer.concat([length, message]));
}
