/** Lets one in at a time, in the order in which they came. */
export class Turns {
  #isTaken = false;
  readonly #waiting: (() => void)[] = [];

  /** Waits for the turn. @returns gives it to the next one; only the first call counts */
  async take(): Promise<() => void> {
    if (this.#isTaken) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#isTaken = true;
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      const next = this.#waiting.shift();
      if (next === undefined) this.#isTaken = false;
      else next(); // the turn is handed over: nobody who comes in between gets in
    };
  }
}
