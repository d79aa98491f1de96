import { EVERYTHING, type WakeUps } from "@hardshare/db";
import { Turns } from "@hardshare/runtime";

/** Called with where to look, or null: look at everything of the scope. Must not throw. */
export type OnWake = (detail: string | null) => void;

/** Looks at the store that run at the same time. After lost wake-ups all look at once, and would fill the store's queue. */
const MAX_LOOKS = 8;

/** Hands wake-ups of the store to those of this process who listen to their scope. */
export class WakeUpRouter implements Disposable {
  readonly #listeners = new Map<string, Set<OnWake>>();
  readonly #subscription: Disposable;
  readonly #looks = new Turns(MAX_LOOKS);

  constructor(wakeUps: WakeUps) {
    this.#subscription = wakeUps.listen((topic) => this.#route(topic));
  }

  /** Calls `onWake` for each wake-up of `scope` until disposed. */
  subscribe(scope: string, onWake: OnWake): Disposable {
    const listeners = this.#listeners.get(scope) ?? new Set();
    this.#listeners.set(scope, listeners);
    const own: OnWake = (detail) => onWake(detail);
    listeners.add(own);
    return {
      [Symbol.dispose]: () => {
        listeners.delete(own);
        if (listeners.size === 0 && this.#listeners.get(scope) === listeners) this.#listeners.delete(scope);
      },
    };
  }

  /** Runs what a wake-up asks for, in its turn: only so many look at the same time in this process. */
  look<T>(work: () => Promise<T>): Promise<T> {
    return this.#looks.take(work);
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
    this.#listeners.clear();
  }

  #route(topic: string): void {
    if (topic === EVERYTHING) {
      for (const listeners of this.#listeners.values()) for (const onWake of listeners) onWake(null);
      return;
    }
    const slash = topic.indexOf("/");
    const [scope, detail] = slash < 0 ? [topic, null] : [topic.slice(0, slash), topic.slice(slash + 1)];
    for (const onWake of this.#listeners.get(scope) ?? []) onWake(detail);
  }
}
