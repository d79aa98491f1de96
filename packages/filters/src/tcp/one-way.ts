import type { Socket } from "node:net";
import type { Clock } from "@hardshare/runtime";
import { onOrderlyEnd } from "@hardshare/runtime/sockets";
import type { Pacer } from "./pacer.ts";

/** Chunks that may wait for a socket, however small: a chunk of one byte takes hundreds of bytes of memory. */
const MAX_WAITING_CHUNKS = 256;

interface OneWayOptions {
  readonly from: Socket;
  readonly to: Socket;
  readonly clock: Clock;
  /** Asked for each chunk: rules may have been read again. Undefined: as fast as it goes. */
  readonly pacer: () => Pacer | undefined;
  readonly onBytes: () => void;
}

/**
 * Carries what one socket says to another, as fast as that takes it and the pacer lets it: while something waits, no more
 * is read. The end of `from` ends `to`'s other half only when all has passed.
 */
export class OneWay implements Disposable {
  readonly #options: OneWayOptions;
  #waitingChunks = 0;
  #timer: Disposable | undefined;
  #hasEnded = false;

  constructor(options: OneWayOptions) {
    this.#options = options;
    const { from, to } = options;
    from.on("data", (chunk: Buffer) => {
      options.onBytes();
      this.#pass(chunk);
    });
    onOrderlyEnd(from, () => {
      this.#hasEnded = true;
      to.end();
    });
  }

  /** Whether `from` has ended its way in order. A reset since may be of a client that has left and was still answered. */
  get isWhole(): boolean {
    return this.#hasEnded;
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
  }

  #pass(chunk: Buffer): void {
    const { from, to, pacer, clock, onBytes } = this.#options;
    const pace = pacer();
    if (pace === undefined) return this.#write(chunk);
    const passing = pace.take(chunk.length);
    if (passing > 0) {
      onBytes();
      this.#write(chunk.subarray(0, passing));
    }
    if (passing === chunk.length || to.destroyed) return;
    from.pause();
    this.#timer = clock.after(pace.waitMs, () => {
      this.#timer = undefined;
      this.#pass(chunk.subarray(passing));
      this.#resume();
    });
  }

  #write(chunk: Buffer): void {
    const { from, to } = this.#options;
    this.#waitingChunks += 1;
    const hasRoom = to.write(chunk, () => {
      this.#waitingChunks -= 1;
      this.#resume();
    });
    if (!hasRoom || this.#waitingChunks >= MAX_WAITING_CHUNKS) from.pause();
  }

  /** Reads on when nothing waits any more, neither for the pacer nor for the other socket. */
  #resume(): void {
    const { from } = this.#options;
    if (this.#waitingChunks === 0 && this.#timer === undefined && from.isPaused()) from.resume();
  }
}
