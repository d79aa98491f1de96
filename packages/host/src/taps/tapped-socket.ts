import { Socket } from "node:net";
import type { FilterDirection } from "@hardshare/protocol";

/** Gets a copy of each chunk, in the order in which the connection carries them; must not change it. */
export type OnChunk = (direction: FilterDirection, chunk: Buffer) => void;

/** A connection to a service of which a copy is made, both ways: beside what reads and writes it, whatever that is. */
export class TappedSocket extends Socket {
  readonly #onChunk: OnChunk;

  constructor(onChunk: OnChunk) {
    super({ allowHalfOpen: true });
    this.#onChunk = onChunk;
  }

  override push(chunk: Buffer | null, encoding?: BufferEncoding): boolean {
    if (chunk !== null && chunk.length > 0) this.#onChunk("out", chunk);
    return super.push(chunk, encoding);
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (chunk.length > 0) this.#onChunk("in", chunk); // else it is asked whether it still stands
    super._write(chunk, encoding, done);
  }

  override _writev(chunks: { chunk: Buffer; encoding: BufferEncoding }[], done: (error?: Error | null) => void): void {
    for (const { chunk } of chunks) if (chunk.length > 0) this.#onChunk("in", chunk);
    // A socket has it, whatever the types of Node say.
    super._writev?.(chunks, done);
  }
}
