import { closeSync, fstatSync, openSync, writeSync } from "node:fs";
import type { Clock, Logger } from "@hardshare/runtime";
import { AppError } from "@hardshare/protocol";
import type { Judgement } from "./filter-kind.ts";

/** Most bytes of a file of decisions. */
const MAX_FILE_BYTES = 64 * 1024 ** 2;
/** What is gathered before it is written, and for how long. */
const GATHERED_CHARS = 64 * 1024;
const GATHERED_MS = 100;

interface DecisionsFileOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly maxBytes?: number;
}

/**
 * Every decision as a line of JSON with the values of its message (`RecordedDecision`): what `filter learn` makes rules
 * of. It is appended to; when it is full, or can't be written, the recording stops with a word in the log, and the filter
 * goes on. The last tenth of a second may be missing after a crash.
 */
export class DecisionsFile implements Disposable {
  readonly #file: number;
  readonly #path: string;
  readonly #options: DecisionsFileOptions;
  #freeBytes: number;
  #gathered = "";
  #timer: Disposable | undefined;
  #isStopped = false;

  private constructor(path: string, file: number, options: DecisionsFileOptions) {
    this.#path = path;
    this.#file = file;
    this.#options = options;
    this.#freeBytes = (options.maxBytes ?? MAX_FILE_BYTES) - fstatSync(file).size;
  }

  /** @throws AppError `not_configured` when it can't be written */
  static open(path: string, options: DecisionsFileOptions): DecisionsFile {
    try {
      return new DecisionsFile(path, openSync(path, "a", 0o600), options);
    } catch (cause) {
      throw new AppError("not_configured", `cannot write decisions to ${path}: ${(cause as Error).message}`, { details: { path }, cause });
    }
  }

  write(judgement: Judgement): void {
    if (this.#isStopped) return;
    this.#gathered += `${JSON.stringify({ at: new Date(this.#options.clock.now()).toISOString(), ...judgement })}\n`;
    if (this.#gathered.length > GATHERED_CHARS) this.#flush();
    else this.#timer ??= this.#options.clock.after(GATHERED_MS, () => this.#flush());
  }

  [Symbol.dispose](): void {
    this.#flush();
    closeSync(this.#file);
  }

  #flush(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    const bytes = Buffer.from(this.#gathered);
    this.#gathered = "";
    if (this.#isStopped) return;
    if (bytes.length > this.#freeBytes) return this.#stop("it is full");
    try {
      for (let written = 0; written < bytes.length;) written += writeSync(this.#file, bytes, written);
      this.#freeBytes -= bytes.length;
    } catch (error) {
      this.#stop((error as Error).message);
    }
  }

  #stop(because: string): void {
    this.#isStopped = true;
    this.#options.logger.warn("decisions are recorded no longer", { file: this.#path, because });
  }
}
