import { AppError } from "@hardshare/protocol";
import { JournalEntry } from "./entries.ts";
import { type JournalFile, openJournalFile } from "./journal-file.ts";
import { applyEntry, emptyJournalState, entriesOf, type JournalState } from "./journal-state.ts";

/** Size above which the journal is rewritten with what still matters. */
const COMPACT_ABOVE_BYTES = 256 * 1024;

/**
 * The host's durable record: one JSON object a line, appended and synced before anything is acknowledged. A last line
 * that was torn by a crash is dropped: nothing was acknowledged for it. One that is whole never is.
 *
 * `append` is for what may be refused (a launch): it throws when the disk is full. `record` is for what must happen
 * anyway (an end, a lock-out): it never throws; what could not be written is kept and written before the next entry.
 */
export class Journal implements AsyncDisposable {
  readonly path: string;
  readonly #state: JournalState;
  readonly #file: JournalFile;
  #sizeBytes: number;
  #unwritten: JournalEntry[] = [];
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(state: JournalState, file: JournalFile, sizeBytes: number) {
    this.path = file.path;
    this.#state = state;
    this.#file = file;
    this.#sizeBytes = sizeBytes;
  }

  /**
   * Opens the journal of a state folder, or makes one.
   * @throws AppError `config_invalid` when a line other than the last is damaged, or any is of an unknown kind
   */
  static async open(folder: string): Promise<Journal> {
    return Journal.load(await openJournalFile(folder));
  }

  /** Reads what a file holds, and goes on with it; the file is the journal's from then on. @throws AppError as `open` */
  static async load(file: JournalFile): Promise<Journal> {
    try {
      const state = emptyJournalState();
      const sizeBytes = readEntries(await file.read(), file.path, (entry) => applyEntry(state, entry));
      await file.truncate(sizeBytes);
      return new Journal(state, file, sizeBytes);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** What the journal says now. Not to be changed by callers. */
  get state(): JournalState {
    return this.#state;
  }

  /** Writes an entry and syncs it. @throws AppError `internal` when it cannot be written; then nothing is changed */
  append(entry: JournalEntry): Promise<void> {
    return this.#inTurn(async () => {
      await this.#write([...this.#unwritten, entry]);
      this.#unwritten = [];
      applyEntry(this.#state, entry);
      await this.#compact();
    });
  }

  /** Applies an entry at once and writes it as soon as that is possible. @returns what went wrong with writing, if anything */
  record(entry: JournalEntry): Promise<AppError | undefined> {
    applyEntry(this.#state, entry);
    return this.#inTurn(async () => {
      this.#unwritten.push(entry);
      try {
        await this.#write(this.#unwritten);
        this.#unwritten = [];
        await this.#compact();
        return undefined;
      } catch (error) {
        return error as AppError;
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inTurn(() => this.#file.close());
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(run);
    this.#queue = result.catch(() => {});
    return result;
  }

  async #write(entries: readonly JournalEntry[]): Promise<void> {
    const bytes = encode(entries);
    try {
      await this.#file.write(bytes, this.#sizeBytes);
    } catch (cause) {
      await this.#file.truncate(this.#sizeBytes).catch(() => {}); // a half line would be dropped at the next start anyway
      throw new AppError(
        "internal",
        `the journal ${this.path} cannot be written: ${(cause as Error).message}; free some space on its disk`,
        {
          cause,
        },
      );
    }
    this.#sizeBytes += bytes.length;
  }

  /** Never throws: the longer file is as good. */
  async #compact(): Promise<void> {
    if (this.#sizeBytes < COMPACT_ABOVE_BYTES) return;
    const bytes = encode(entriesOf(this.#state));
    if (bytes.length > this.#sizeBytes / 2) return;
    try {
      await this.#file.replace(bytes);
      this.#sizeBytes = bytes.length;
    } catch {
      return;
    }
  }
}

function encode(entries: readonly JournalEntry[]): Buffer {
  return Buffer.from(entries.map((entry) => `${JSON.stringify(entry)}\n`).join(""), "utf8");
}

/** @returns bytes of the whole lines; what follows is torn */
function readEntries(content: Buffer, path: string, onEntry: (entry: JournalEntry) => void): number {
  let offset = 0;
  for (let line = 1; ; line++) {
    const end = content.indexOf(0x0a, offset);
    if (end < 0) return offset;
    const data = parseJson(content.toString("utf8", offset, end));
    const isLast = content.indexOf(0x0a, end + 1) < 0;
    if (data === undefined && isLast) return offset;
    const entry = JournalEntry.safeParse(data);
    if (!entry.success) {
      const what = data === undefined ? "is damaged" : "has an entry that this version does not understand";
      throw new AppError(
        "config_invalid",
        `the journal ${path} ${what} at line ${line}; ${data === undefined ? "" : "start the version that wrote it, or "}look after the hardware, move the file away, and start again: containers that were left are removed at the start`,
      );
    }
    onEntry(entry.data);
    offset = end + 1;
  }
}

/** @returns undefined for what is no JSON */
function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
