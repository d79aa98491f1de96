/**
 * Names the limits of the rules of one file by their patterns, and those of a pattern that was there before ` #2` and so on:
 * the same when the file is read again, with other rules around them.
 */
export class LimitNames {
  readonly #counts = new Map<string, number>();

  /** The name for the next rule with this pattern. */
  next(pattern: string): string {
    const count = (this.#counts.get(pattern) ?? 0) + 1;
    this.#counts.set(pattern, count);
    return count === 1 ? pattern : `${pattern} #${count}`;
  }
}
