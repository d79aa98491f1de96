/**
 * When the last messages of a rule passed, in milliseconds of a clock that only grows. It remembers as many as the
 * largest rate asked of it, and serves several rates, so that one that is changed goes on where the other was.
 */
export class RateHistory {
  /** A ring; `#next` is the oldest. */
  #times: Float64Array;
  #next = 0;

  /** @param before the time that is taken for those before: none (−∞), or now when they are not known */
  constructor(before: number) {
    this.#times = new Float64Array(1).fill(before);
  }

  /** Makes room for a rate of so many. What it does not remember counts as the oldest that it does: never as earlier. */
  remember(count: number): void {
    const known = this.#times.length;
    if (count <= known) return;
    const times = new Float64Array(count).fill(this.#times[this.#next] ?? 0);
    for (let age = 1; age <= known; age += 1) times[count - age] = this.last(age);
    this.#times = times;
    this.#next = 0;
  }

  /** When the `age`-th last message passed; 1 is the last. */
  last(age: number): number {
    const { length } = this.#times;
    return this.#times[(this.#next - age + length) % length] ?? 0;
  }

  add(atMs: number): void {
    this.#times[this.#next] = atMs;
    this.#next = (this.#next + 1) % this.#times.length;
  }
}
