/** Chunks of at least this size are kept as they are; smaller ones are copied together. */
const BLOCK_BYTES = 16 * 1024;

/**
 * Bytes in order, in few buffers: small chunks are copied into blocks, so that a peer that sends single bytes can't
 * make each of them keep a buffer alive that is a thousand times larger.
 */
export class Backlog {
  readonly #blocks: { bytes: Buffer; used: number; isOwn: boolean }[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  add(chunk: Buffer): void {
    this.#length += chunk.length;
    if (chunk.length >= BLOCK_BYTES) {
      this.#blocks.push({ bytes: chunk, used: chunk.length, isOwn: false });
      return;
    }
    let rest = chunk;
    while (rest.length > 0) {
      let last = this.#blocks.at(-1);
      if (last === undefined || !last.isOwn || last.used === last.bytes.length) {
        last = { bytes: Buffer.allocUnsafeSlow(BLOCK_BYTES), used: 0, isOwn: true };
        this.#blocks.push(last);
      }
      const copied = rest.copy(last.bytes, last.used);
      last.used += copied;
      rest = rest.subarray(copied);
    }
  }

  /** The first bytes, at most one packet, or undefined when there are none. */
  take(): Buffer | undefined {
    const first = this.#blocks.shift();
    if (first === undefined) return undefined;
    this.#length -= first.used;
    return first.bytes.subarray(0, first.used);
  }

  clear(): void {
    this.#blocks.length = 0;
    this.#length = 0;
  }
}
