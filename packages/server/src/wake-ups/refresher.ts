/**
 * Level-triggered looking: remembers where to look, looks at one place at a time, and once more when something changed
 * while it looked. However many wake-ups come, at most one more look per place is waiting.
 */
export class Refresher {
  readonly #look: (detail: string | null) => Promise<void>;
  readonly #onFailure: (error: unknown) => void;
  readonly #details = new Set<string>();
  #isAll = false;
  #running: Promise<void> | undefined;
  #isStopped = false;

  /** @param look `null`: at everything. When it throws, what was asked for is forgotten and `onFailure` decides how to go on. */
  constructor(look: (detail: string | null) => Promise<void>, onFailure: (error: unknown) => void) {
    this.#look = look;
    this.#onFailure = onFailure;
  }

  request(detail: string | null): void {
    if (this.#isStopped) return;
    if (detail === null) this.#isAll = true;
    else this.#details.add(detail);
    this.#running ??= this.#run();
  }

  /** Settles when all has been looked at that was asked for until now; at once when a look failed. */
  async settled(): Promise<void> {
    await this.#running;
  }

  /** Looks no more; resolves when a running look has ended. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    try {
      while (!this.#isStopped) {
        const detail = this.#take();
        if (detail === undefined) return;
        await this.#look(detail);
      }
    } catch (error) {
      this.#details.clear();
      this.#isAll = false;
      this.#onFailure(error);
    } finally {
      this.#running = undefined;
    }
  }

  #take(): string | null | undefined {
    if (this.#isAll) {
      this.#isAll = false;
      this.#details.clear();
      return null;
    }
    for (const detail of this.#details) {
      this.#details.delete(detail);
      return detail;
    }
    return undefined;
  }
}
