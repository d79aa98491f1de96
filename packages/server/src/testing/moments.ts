/** Lets a test wait for a condition that events bring about: it is looked at again at each event, never by time. */
export class Moments {
  readonly #waiting = new Set<() => void>();

  /** Something happened. */
  pass(): void {
    for (const look of this.#waiting) look();
  }

  /** The first value of `find` that is not undefined, null or false. */
  until<T>(find: () => T | undefined | null | false): Promise<T> {
    return new Promise((resolve) => {
      const look = () => {
        const found = find();
        if (found === undefined || found === null || found === false) return;
        this.#waiting.delete(look);
        resolve(found);
      };
      this.#waiting.add(look);
      look();
    });
  }
}
