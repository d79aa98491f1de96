/** Longest id of a message in fragments, and most fragments of one, and of all that are held: empty ones take memory too. */
const MAX_ID_CHARS = 512;
const MAX_FRAGMENTS = 10_000;
/** Messages of which some fragments have come; the oldest is forgotten for one more. */
const MAX_PARTIAL = 16;

/** A message of which not all has come. */
interface Partial {
  readonly total: number;
  readonly pieces: Map<number, string>;
}

/**
 * Joins messages that come in fragments, so that each is judged when it has come whole. What is held has a bound: the
 * oldest messages are forgotten for newer ones.
 */
export class Fragments {
  readonly #limitChars: number;
  readonly #partial = new Map<string | number, Partial>();
  #heldChars = 0;
  #heldPieces = 0;

  /** @param limitChars most characters of all that is held */
  constructor(limitChars: number) {
    this.#limitChars = limitChars;
  }

  /** @returns the whole message with its last fragment, undefined before, or why the fragment is refused */
  add(fragment: Readonly<Record<string, unknown>>): { readonly text: string } | { readonly problem: string } | undefined {
    const { op: _op, id, data, num, total, ...others } = fragment;
    const other = Object.keys(others)[0];
    if (other !== undefined) return { problem: `${JSON.stringify(other.slice(0, 40))}: a fragment has no such field` };
    if ((typeof id !== "string" && !Number.isSafeInteger(id)) || String(id).length > MAX_ID_CHARS) {
      return { problem: "id: expected the id of the message that this is a fragment of" };
    }
    if (typeof data !== "string") return { problem: "data: expected a text" };
    if (!isCount(total) || total === 0 || total > MAX_FRAGMENTS) return { problem: `total: expected 1 to ${MAX_FRAGMENTS} fragments` };
    if (!isCount(num) || num >= total) return { problem: "num: expected a whole number from 0 to less than `total`" };
    const key = id as string | number;
    const partial = this.#partial.get(key) ?? this.#begin(key, total);
    if (partial.total !== total || partial.pieces.has(num)) {
      this.#forget(key);
      return { problem: "expected each fragment of a message once, all with the same `total`" };
    }
    partial.pieces.set(num, data);
    this.#heldChars += data.length;
    this.#heldPieces += 1;
    for (const oldest of this.#partial.keys()) {
      if (this.#heldChars <= this.#limitChars && this.#heldPieces <= MAX_FRAGMENTS) break;
      this.#forget(oldest);
    }
    if (!this.#partial.has(key)) {
      return { problem: `the fragments are larger than ${this.#limitChars} characters, the most that is judged` };
    }
    if (partial.pieces.size < total) return undefined;
    this.#forget(key);
    return { text: Array.from({ length: total }, (_none, index) => partial.pieces.get(index)).join("") };
  }

  #begin(key: string | number, total: number): Partial {
    const [oldest] = this.#partial.keys();
    if (this.#partial.size >= MAX_PARTIAL && oldest !== undefined) this.#forget(oldest);
    const partial = { total, pieces: new Map<number, string>() };
    this.#partial.set(key, partial);
    return partial;
  }

  #forget(key: string | number): void {
    const pieces = this.#partial.get(key)?.pieces;
    for (const piece of pieces?.values() ?? []) this.#heldChars -= piece.length;
    this.#heldPieces -= pieces?.size ?? 0;
    this.#partial.delete(key);
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
