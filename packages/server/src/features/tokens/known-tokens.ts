import { EVERYTHING, type WakeUps } from "@hardshare/db";
import { scopes } from "../../wake-ups/topics.ts";

const MAX_KNOWN = 10_000;

/** Tokens that the store knew as valid and of whose revocation nothing was heard since. By their hashes. */
export class KnownTokens implements Disposable {
  /** The oldest first. */
  readonly #known = new Set<string>();
  readonly #listener: Disposable;
  /** Grows with each revocation, so that what was read before it is not taken for true. */
  #revocations = 0;

  constructor(wakeUps: WakeUps) {
    const prefix = scopes.token("");
    this.#listener = wakeUps.listen((topic) => {
      if (topic !== EVERYTHING && !topic.startsWith(prefix)) return;
      if (topic !== EVERYTHING) return this.forget(topic.slice(prefix.length));
      this.#revocations += 1;
      this.#known.clear();
    });
  }

  /** It was revoked: at the server that did so without waiting for the wake-up. */
  forget(sha256: string): void {
    this.#revocations += 1;
    this.#known.delete(sha256);
  }

  has(sha256: string): boolean {
    return this.#known.has(sha256);
  }

  /** Called before a look at the store; what it returns takes the result. */
  look(sha256: string): (isValid: boolean) => void {
    const before = this.#revocations;
    return (isValid) => {
      this.#known.delete(sha256);
      if (!isValid || this.#revocations !== before) return;
      this.#known.add(sha256);
      const [oldest] = this.#known;
      if (this.#known.size > MAX_KNOWN && oldest !== undefined) this.#known.delete(oldest);
    };
  }

  [Symbol.dispose](): void {
    this.#listener[Symbol.dispose]();
  }
}
