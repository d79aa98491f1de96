import { type FSWatcher, watch } from "node:fs";
import { basename, dirname } from "node:path";
import type { Clock, Logger } from "@hardshare/runtime";

/** An editor writes a file in several steps; the last one counts. */
const SETTLE_MS = 100;

interface ContractWatchOptions {
  clock: Clock;
  logger: Logger;
  onChange: (file: string) => void;
}

/** Calls `onChange` after a contract file was changed or replaced. Where files can't be watched, a new start of the daemon reads them. */
export class ContractWatch implements AsyncDisposable {
  readonly #options: ContractWatchOptions;
  readonly #timers = new Map<string, Disposable>();
  #watchers: FSWatcher[] = [];

  constructor(options: ContractWatchOptions) {
    this.#options = options;
  }

  /** Watches these files, and no others any more. */
  watch(files: readonly string[]): void {
    this.#close();
    const { logger } = this.#options;
    for (const folder of new Set(files.map((file) => dirname(file)))) {
      const byName = new Map(files.filter((file) => dirname(file) === folder).map((file) => [basename(file), file]));
      try {
        const watcher = watch(folder, { persistent: false }, (_event, name) => {
          const file = name === null ? undefined : byName.get(name);
          if (file !== undefined) this.#settle(file);
        });
        watcher.on("error", (error) => logger.warn("contracts are watched no more", { folder, error }));
        this.#watchers.push(watcher);
      } catch (error) {
        logger.warn("contracts cannot be watched", { folder, error });
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close();
    for (const timer of this.#timers.values()) timer[Symbol.dispose]();
  }

  #close(): void {
    for (const watcher of this.#watchers) watcher.close();
    this.#watchers = [];
  }

  #settle(file: string): void {
    const { clock, onChange } = this.#options;
    this.#timers.get(file)?.[Symbol.dispose]();
    const timer = clock.after(SETTLE_MS, () => {
      this.#timers.delete(file);
      onChange(file);
    });
    this.#timers.set(file, timer);
  }
}
