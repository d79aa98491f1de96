import { type FSWatcher, watch } from "node:fs";
import { basename, dirname } from "node:path";
import type { Clock, Logger } from "@hardshare/runtime";

/** An editor writes a file in several steps; the last one counts. */
const SETTLE_MS = 100;

/** Calls `onChange` after a contract file was changed or replaced. Where files can't be watched, a new start of the daemon reads them. */
export class ContractWatch implements AsyncDisposable {
  readonly #watchers: FSWatcher[] = [];
  readonly #timers = new Map<string, Disposable>();

  constructor(options: { clock: Clock; logger: Logger; files: readonly string[]; onChange(file: string): void }) {
    for (const folder of new Set(options.files.map((file) => dirname(file)))) {
      const files = new Map(options.files.filter((file) => dirname(file) === folder).map((file) => [basename(file), file]));
      try {
        const watcher = watch(folder, { persistent: false }, (_event, name) => {
          const file = name === null ? undefined : files.get(name);
          if (file !== undefined) this.#settle(file, options);
        });
        watcher.on("error", (error) => options.logger.warn("contracts are watched no more", { folder, error }));
        this.#watchers.push(watcher);
      } catch (error) {
        options.logger.warn("contracts cannot be watched", { folder, error });
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const watcher of this.#watchers) watcher.close();
    for (const timer of this.#timers.values()) timer[Symbol.dispose]();
  }

  #settle(file: string, options: { clock: Clock; onChange(file: string): void }): void {
    this.#timers.get(file)?.[Symbol.dispose]();
    const timer = options.clock.after(SETTLE_MS, () => {
      this.#timers.delete(file);
      options.onChange(file);
    });
    this.#timers.set(file, timer);
  }
}
