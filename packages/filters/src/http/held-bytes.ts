const FIRST_BYTES = 1024;

/**
 * Bytes that are held until all have come, in one piece of memory of at most twice their size: kept as they came, bytes
 * that come one by one would take a hundred times as much.
 */
export class HeldBytes {
  #memory: Buffer = Buffer.alloc(0);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(bytes: Buffer): void {
    const size = this.#size + bytes.length;
    if (size > this.#memory.length) {
      // The first ones share Node's pool: most bodies are as small, and memory of their own would cost as much as judging them.
      const larger =
        size <= FIRST_BYTES ? Buffer.allocUnsafe(FIRST_BYTES) : Buffer.allocUnsafeSlow(Math.max(size, 2 * this.#memory.length));
      larger.set(this.all);
      this.#memory = larger;
    }
    this.#memory.set(bytes, this.#size);
    this.#size = size;
  }

  /** All that came, without a copy. */
  get all(): Buffer {
    return this.#memory.subarray(0, this.#size);
  }
}
