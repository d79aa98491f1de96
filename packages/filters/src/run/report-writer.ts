import type { Writable } from "node:stream";
import type { FilterReport } from "@hardshare/protocol";

/**
 * Writes reports as lines of JSON. Node keeps in memory what a reader does not take, without a bound: whoever writes
 * often asks `isTaken` first, and waits with what it has.
 */
export class ReportWriter {
  readonly #stream: Writable;

  constructor(stream: Writable) {
    this.#stream = stream;
  }

  /** Whether the reader took what was written, but for some kilobytes. */
  get isTaken(): boolean {
    return !this.#stream.writableNeedDrain;
  }

  write(report: FilterReport): void {
    this.#stream.write(`${JSON.stringify(report)}\n`);
  }
}
