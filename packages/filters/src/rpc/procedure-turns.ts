import type { Procedure } from "../rules/procedure.ts";

/** The calls of one procedure. */
interface Calls {
  running: number;
  readonly waiting: (() => void)[];
}

/** Lets each procedure run only so often at the same time, also when its rules are read again meanwhile. */
export class ProcedureTurns {
  readonly #calls = new Map<string, Calls>();

  /** Whether one more call would neither run nor wait. */
  isBusy({ name, at_once: atOnce, waiting }: Procedure): boolean {
    const calls = this.#calls.get(name);
    return calls !== undefined && calls.running >= atOnce && calls.waiting.length >= waiting;
  }

  /**
   * Settles when it is this call's turn. Dispose the turn when the call has ended.
   * @returns undefined when it is aborted, or refused because it is busy
   */
  async take(procedure: Procedure, signal: AbortSignal): Promise<Disposable | undefined> {
    if (signal.aborted || this.isBusy(procedure)) return undefined;
    const { name } = procedure;
    const calls = this.#calls.get(name) ?? { running: 0, waiting: [] };
    this.#calls.set(name, calls);
    if (calls.running < procedure.at_once) calls.running += 1;
    else if (!(await hasTurn(calls, signal))) return undefined;
    return { [Symbol.dispose]: () => this.#pass(name, calls) };
  }

  /** The next one that waits has its turn. */
  #pass(name: string, calls: Calls): void {
    const next = calls.waiting.shift();
    if (next !== undefined) return next();
    calls.running -= 1;
    if (calls.running === 0) this.#calls.delete(name);
  }
}

/** Waits for a turn, which the one before passes on; settles with false when the caller leaves before. */
function hasTurn({ waiting }: Calls, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const begin = () => {
      signal.removeEventListener("abort", leave);
      resolve(true);
    };
    const leave = () => {
      waiting.splice(waiting.indexOf(begin), 1);
      resolve(false);
    };
    waiting.push(begin);
    signal.addEventListener("abort", leave, { once: true });
  });
}
