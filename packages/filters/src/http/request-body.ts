/** Takes a body, each part as soon as it is there. */
export interface BodyTaker {
  take(bytes: Buffer): void;
  /** All of it was taken. */
  end(): void;
  /** The client has left: the rest does not come. */
  leave(): void;
}

/** Memory that each part takes besides its bytes: a client may send them one by one. */
export const PART_BYTES = 128;

/**
 * The body of a request, on its way from the parser to whoever takes it. What nobody takes yet is held; the owner of the
 * connection is told how much, so that it reads no more when that is too much.
 */
export class RequestBody {
  readonly #onHeld: (changeBytes: number) => void;
  readonly #held: Buffer[] = [];
  /** With what the parts take besides. */
  #heldBytes = 0;
  #taker: BodyTaker | undefined;
  #isPaused = false;
  #isIgnored = false;
  #isComplete = false;

  /** @param onHeld told of each change of what is held */
  constructor(onHeld: (changeBytes: number) => void) {
    this.#onHeld = onHeld;
  }

  /** Whether all of it has come. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** From the parser. */
  push(bytes: Buffer): void {
    if (this.#isIgnored) return;
    if (this.#taker !== undefined && !this.#isPaused) return this.#taker.take(bytes);
    this.#held.push(bytes);
    this.#count(bytes.length + PART_BYTES);
  }

  /** From the parser: that was all. */
  complete(): void {
    this.#isComplete = true;
    this.#finish();
  }

  /** The client has left, or nobody wants the body any more: what comes is thrown away. */
  ignore(): void {
    const taker = this.#taker;
    this.#taker = undefined;
    this.#isIgnored = true;
    this.#held.length = 0;
    this.#count(-this.#heldBytes);
    taker?.leave();
  }

  /** Gives what is held and what comes to the taker. */
  start(taker: BodyTaker): void {
    this.#taker = taker;
    this.resume();
  }

  /** Takes no more: what comes is held again. */
  stop(): void {
    this.#taker = undefined;
    this.#isPaused = false;
  }

  /** Holds again what was taken, before all else. */
  putBack(bytes: Buffer): void {
    this.#held.unshift(bytes);
    this.#count(bytes.length + PART_BYTES);
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    while (this.#taker !== undefined && !this.#isPaused) {
      const bytes = this.#held.shift();
      if (bytes === undefined) break;
      this.#count(-bytes.length - PART_BYTES);
      this.#taker.take(bytes);
    }
    this.#finish();
  }

  #finish(): void {
    const taker = this.#taker;
    if (!this.#isComplete || this.#isPaused || taker === undefined || this.#held.length > 0) return;
    this.#taker = undefined;
    taker.end();
  }

  #count(changeBytes: number): void {
    if (changeBytes === 0) return;
    this.#heldBytes += changeBytes;
    this.#onHeld(changeBytes);
  }
}
