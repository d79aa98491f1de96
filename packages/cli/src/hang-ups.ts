import { closeSync, openSync } from "node:fs";

/**
 * What SIGHUP means: by custom "read your configuration again" for a program that serves, else, and whenever the
 * program's terminal is gone, that it is to end.
 */
export class HangUps {
  readonly #end: () => void;
  readonly #hadTerminal = hasTerminal();
  #take: (() => void) | undefined;

  constructor(end: () => void) {
    this.#end = end;
  }

  /** The signal came. */
  handle(): void {
    if (this.#take === undefined || (this.#hadTerminal && !hasTerminal())) this.#end();
    else this.#take();
  }

  /** Until disposed, the signal means `take`. */
  onHangUp(take: () => void): Disposable {
    this.#take = take;
    return { [Symbol.dispose]: () => (this.#take = undefined) };
  }
}

/** Whether the process belongs to a terminal; after that has hung up it can't be opened. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync("/dev/tty", "r"));
    return true;
  } catch {
    return false;
  }
}
