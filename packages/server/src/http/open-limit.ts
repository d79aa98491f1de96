import { AppError } from "@hardshare/protocol";

/** Bounds how many of one kind are open at the same time, in all and for each key: an address, a token. In this process. */
export class OpenLimit {
  readonly #options: { what: string; total: number; perKey: number };
  readonly #counts = new Map<string, number>();
  #total = 0;

  /** @param options `what` is open, in the plural, for the message */
  constructor(options: { what: string; total: number; perKey: number }) {
    this.#options = options;
  }

  /**
   * Counts one more until it is disposed.
   * @throws AppError `busy` when there are as many as may be
   */
  enter(key: string): Disposable {
    const { what, total, perKey } = this.#options;
    const count = this.#counts.get(key) ?? 0;
    if (count >= perKey) throw new AppError("busy", `${perKey} ${what} of yours are open already; close some, then try again`);
    if (this.#total >= total) throw new AppError("busy", `too many ${what} are open at this server; try again in a moment`);
    this.#counts.set(key, count + 1);
    this.#total += 1;
    let isOpen = true;
    return {
      [Symbol.dispose]: () => {
        if (!isOpen) return;
        isOpen = false;
        this.#total -= 1;
        const left = (this.#counts.get(key) ?? 0) - 1;
        if (left > 0) this.#counts.set(key, left);
        else this.#counts.delete(key);
      },
    };
  }
}
