import { type BackOff, type Clock, pause } from "@hardshare/runtime";

/** Something that runs until it is disposed or ends by itself. */
export interface Running extends AsyncDisposable {
  /** Settles when it has ended, with how that came about. */
  readonly ended: Promise<string>;
}

export interface SuperviseOptions<T extends Running> {
  start(signal: AbortSignal): Promise<T>;
  backOff: BackOff;
  clock: Clock;
  /** It ended by itself, or could not be started again. */
  onLost: (how: string) => void;
  /** It runs again. */
  onRestored: () => void;
}

/** What ran for so long is started again without delay. */
const STEADY_MS = 30_000;

/** Keeps a process running: starts it, and starts it again with back-off when it ends by itself. */
export class Supervised<T extends Running> implements AsyncDisposable {
  readonly #options: SuperviseOptions<T>;
  readonly #stop = new AbortController();
  #current: T | undefined;
  #watch: Promise<void> = Promise.resolve();
  #cleared: Promise<void> = Promise.resolve();

  private constructor(options: SuperviseOptions<T>, first: T) {
    this.#options = options;
    this.#current = first;
    this.#watch = this.#keep(first);
    this.#watch.catch(() => {}); // whoever disposes of it hears of it
  }

  /** Starts it; the first failure to start is the caller's. */
  static async start<T extends Running>(options: SuperviseOptions<T>, signal: AbortSignal): Promise<Supervised<T>> {
    return new Supervised(options, await options.start(signal));
  }

  /** What runs now; undefined between an end and the next start. */
  get current(): T | undefined {
    return this.#current;
  }

  /** Settles when nothing is left of what ended by itself last; never rejects. */
  get cleared(): Promise<void> {
    return this.#cleared;
  }

  /** @throws AppError when a process of it cannot be killed */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    const current = this.#current;
    this.#current = undefined;
    await current?.[Symbol.asyncDispose]();
    await this.#watch;
  }

  async #keep(first: T): Promise<void> {
    const { backOff, clock, onLost, onRestored } = this.#options;
    const signal = this.#stop.signal;
    let running: T | undefined = first;
    while (!signal.aborted) {
      if (running !== undefined) {
        const startedAt = clock.monotonicMs();
        const how = await running.ended;
        if (signal.aborted) return;
        this.#current = undefined;
        const cleared = Promise.resolve(running[Symbol.asyncDispose]());
        this.#cleared = cleared.catch(() => {}); // told below
        onLost(how);
        await this.#clear(cleared);
        if (clock.monotonicMs() - startedAt > STEADY_MS) backOff.reset();
      }
      await pause(clock, backOff.nextMs(), signal);
      if (signal.aborted) return;
      try {
        running = await this.#options.start(signal);
      } catch (error) {
        running = undefined;
        if (!signal.aborted) onLost((error as Error).message);
        continue;
      }
      if (signal.aborted) return running[Symbol.asyncDispose]();
      this.#current = running;
      onRestored();
    }
  }

  /** Kills what one that ended left in its process group; while that goes on, no other is started beside it. */
  async #clear(cleared: Promise<void>): Promise<void> {
    try {
      await cleared;
    } catch (error) {
      this.#options.onLost(`${(error as Error).message}; it is not started again`);
      throw error;
    }
  }
}
