/** Parts of a program, which are ended in the reverse order of their making. */
export class OwnedParts implements AsyncDisposable {
  #parts: AsyncDisposable[] = [];

  own<T extends AsyncDisposable>(part: T): T {
    this.#parts.unshift(part);
    return part;
  }

  /** Ends all of them, also when one fails to end. @throws the first failure, when all is done */
  async [Symbol.asyncDispose](): Promise<void> {
    const failures: unknown[] = [];
    for (const part of this.#parts.splice(0)) {
      try {
        await part[Symbol.asyncDispose]();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
