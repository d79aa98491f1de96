import {
  closeSync,
  constants,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { AppError } from "@hardshare/protocol";
import * as z from "zod";
import type { BudgetEntry } from "./budget-account.ts";

/** The first line: what the file is. */
const HEADER = "hardshare budgets 1\n";
/** When the file has grown to this, it is written anew with what still counts; then again at twice its size. */
const FIRST_REWRITE_BYTES = 256 * 1024;

const Line = z.tuple([z.string(), z.number(), z.number().min(0)]);

/**
 * The file of a budget book: a line for each time that something was used, appended and synced. A torn last line, of a
 * process that was killed while it wrote, was never acknowledged: its message did not pass, and it is cut off.
 */
export class BudgetFile implements Disposable {
  /** Whether the file was there: an earlier process kept it. */
  readonly isContinued: boolean;
  /** What earlier processes used, by the names of budgets. */
  readonly found: ReadonlyMap<string, readonly BudgetEntry[]>;
  readonly #path: string;
  #file: number;
  #sizeBytes: number;
  #rewriteAtBytes = FIRST_REWRITE_BYTES;

  private constructor(path: string) {
    this.#path = path;
    this.#file = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    const text = readFileSync(this.#file, "utf8");
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    this.isContinued = whole !== "";
    this.found = readEntries(whole, text, path);
    this.#sizeBytes = Buffer.byteLength(whole);
    if (!this.isContinued) this.#writeSynced(HEADER);
    if (!this.isContinued) syncFolder(dirname(path));
  }

  /** @throws AppError `config_invalid` when it can't be read or written, or is none of ours */
  static open(path: string): BudgetFile {
    try {
      return new BudgetFile(path);
    } catch (cause) {
      if (cause instanceof AppError) throw cause;
      const isFull = ["ENOSPC", "EDQUOT"].includes((cause as NodeJS.ErrnoException).code ?? "");
      const advice = isFull ? "; free some space on its disk" : "";
      throw new AppError("config_invalid", `cannot keep budgets in ${path}: ${(cause as Error).message}${advice}`, {
        details: { file: path },
        cause,
      });
    }
  }

  /**
   * Writes an entry down, synced.
   * @param all what counts of all budgets, without this entry
   * @throws Error when it can't be
   */
  append(name: string, entry: BudgetEntry, all: () => readonly (readonly [name: string, entries: readonly BudgetEntry[]])[]): void {
    if (this.#sizeBytes >= this.#rewriteAtBytes) this.#rewrite(all());
    this.#writeSynced(lineOf(name, entry));
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }

  /** What a failed attempt left is written over by the next, or cut off by the next process. */
  #writeSynced(text: string): void {
    const bytes = Buffer.from(text);
    ftruncateSync(this.#file, this.#sizeBytes);
    for (let written = 0; written < bytes.length;) {
      written += writeSync(this.#file, bytes, written, bytes.length - written, this.#sizeBytes + written);
    }
    fdatasyncSync(this.#file);
    this.#sizeBytes += bytes.length;
  }

  /** Without what no longer counts. The old file serves for as long as that fails. */
  #rewrite(all: readonly (readonly [string, readonly BudgetEntry[]])[]): void {
    const text = HEADER + all.flatMap(([name, entries]) => entries.map((entry) => lineOf(name, entry))).join("");
    const temporary = `${this.#path}.new`;
    try {
      const file = openSync(temporary, "w+", 0o600);
      try {
        writeFileSync(file, text);
        fsyncSync(file);
        renameSync(temporary, this.#path);
      } catch (error) {
        closeSync(file);
        throw error;
      }
      closeSync(this.#file);
      this.#file = file;
      this.#sizeBytes = Buffer.byteLength(text);
      syncFolder(dirname(this.#path));
    } catch {
      rmSync(temporary, { force: true });
    }
    this.#rewriteAtBytes = Math.max(FIRST_REWRITE_BYTES, 2 * this.#sizeBytes);
  }
}

function lineOf(name: string, { at, amount }: BudgetEntry): string {
  return `${JSON.stringify([name, at, amount])}\n`;
}

function readEntries(whole: string, text: string, path: string): Map<string, BudgetEntry[]> {
  const found = new Map<string, BudgetEntry[]>();
  const refuse = (line: number) =>
    new AppError("config_invalid", `${path}:${line}: expected a file in which a filter of hardshare keeps its budgets`, {
      details: { file: path },
    });
  if (whole === "" && !HEADER.startsWith(text)) throw refuse(1);
  for (const [index, line] of whole.split("\n").slice(0, -1).entries()) {
    if (index === 0) {
      if (`${line}\n` !== HEADER) throw refuse(1);
      continue;
    }
    const entry = readLine(line);
    if (entry === undefined) throw refuse(index + 1);
    const [name, at, amount] = entry;
    const entries = found.get(name);
    if (entries === undefined) found.set(name, [{ at, amount }]);
    else entries.push({ at, amount });
  }
  return found;
}

function readLine(line: string): z.infer<typeof Line> | undefined {
  try {
    return Line.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}

function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
