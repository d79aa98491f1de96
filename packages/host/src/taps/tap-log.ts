import { type FileHandle, open, rename } from "node:fs/promises";
import type { FilterDirection } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import { contentOf, type TapRecord } from "./tap-record.ts";

/** Size at which a file of a log is put aside; the one that was put aside before is replaced. */
const MAX_FILE_BYTES = 8 * 1024 ** 2;
/** What may wait for the disk; what comes then is not written, and said to be missing. */
const MAX_WAITING_BYTES = 4 * 1024 ** 2;

/** The two files of the log of one service: what is written now, and what was before. */
export function tapFiles(base: string): { newer: string; older: string } {
  return { newer: `${base}.tap`, older: `${base}.older.tap` };
}

/**
 * The bounded log of what went through one service, as lines of JSON (`TapRecord`). It never holds up what it copies:
 * what the disk cannot take is left out, with a word of how much, and after a failure all is.
 */
export class TapLog implements AsyncDisposable {
  readonly #base: string;
  readonly #clock: Clock;
  readonly #onFailure: (message: string) => void;
  readonly #maxFileBytes: number;
  #file: FileHandle;
  #fileBytes: number;
  #waiting: string[] = [];
  #waitingBytes = 0;
  #missingBytes = 0;
  #writing: Promise<void> | undefined;
  #isStopped = false;

  private constructor(options: TapLogOptions, file: FileHandle, fileBytes: number) {
    this.#base = options.base;
    this.#clock = options.clock;
    this.#onFailure = options.onFailure;
    this.#maxFileBytes = options.maxFileBytes ?? MAX_FILE_BYTES;
    this.#file = file;
    this.#fileBytes = fileBytes;
  }

  /** Goes on with the log of a daemon before, if there is one. */
  static async open(options: TapLogOptions): Promise<TapLog> {
    const file = await openToAppend(tapFiles(options.base).newer);
    return new TapLog(options, file, (await file.stat()).size);
  }

  add(direction: FilterDirection, connection: number, chunk: Buffer): void {
    if (this.#isStopped) return;
    if (this.#waitingBytes + chunk.length > MAX_WAITING_BYTES) {
      this.#missingBytes += chunk.length;
      return;
    }
    const record: TapRecord = {
      at: new Date(this.#clock.now()).toISOString(),
      connection,
      direction,
      ...contentOf(chunk),
      ...(this.#missingBytes === 0 ? {} : { missing: this.#missingBytes }),
    };
    this.#missingBytes = 0;
    const line = `${JSON.stringify(record)}\n`;
    this.#waiting.push(line);
    this.#waitingBytes += line.length;
    this.#writing ??= this.#write();
  }

  /** Settles when what was added is written. */
  get settled(): Promise<void> {
    return this.#writing ?? Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
    if (this.#isStopped) return;
    this.#isStopped = true;
    await this.#file.close();
  }

  async #write(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        const bytes = Buffer.from(this.#waiting.splice(0).join(""));
        this.#waitingBytes = 0;
        if (this.#fileBytes > 0 && this.#fileBytes + bytes.length > this.#maxFileBytes) await this.#rotate();
        await this.#file.appendFile(bytes);
        this.#fileBytes += bytes.length;
      }
    } catch (error) {
      this.#isStopped = true;
      this.#waiting = [];
      await this.#file.close().catch(() => {});
      this.#onFailure(`the tap's log is written no longer: ${(error as Error).message}`);
    } finally {
      this.#writing = undefined;
    }
  }

  async #rotate(): Promise<void> {
    const { newer, older } = tapFiles(this.#base);
    await rename(newer, older);
    await this.#file.close();
    this.#file = await openToAppend(newer);
    this.#fileBytes = 0;
  }
}

interface TapLogOptions {
  /** Path of its files, but for their endings. */
  base: string;
  clock: Clock;
  /** Called once. */
  onFailure: (message: string) => void;
  maxFileBytes?: number;
}

function openToAppend(path: string): Promise<FileHandle> {
  return open(path, "a", 0o600);
}
