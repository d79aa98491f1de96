import { FilterReport, MAX_DECISION_REASON_CHARS } from "@hardshare/protocol";

/** Longest line that can be a report: rule and reason, each character of which may be escaped. */
const MAX_LINE_BYTES = 16 * MAX_DECISION_REASON_CHARS;
const NEWLINE = 0x0a;
const OPENING_BRACE = 0x7b;

/**
 * What a service writes to standard error, taken apart: lines of JSON that are reports of a filter, and all else, which
 * is a log for people. At most one line waits for its end, and only if it may be a report.
 */
export class ReportLines {
  readonly #onReport: (report: FilterReport) => void;
  readonly #onText: (chunk: Buffer) => void;
  /** The beginning of a line that may become a report. */
  #held: Buffer = Buffer.alloc(0);
  #isInText = false;

  constructor(options: { onReport: (report: FilterReport) => void; onText: (chunk: Buffer) => void }) {
    this.#onReport = options.onReport;
    this.#onText = options.onText;
  }

  write(chunk: Buffer): void {
    let rest = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = Buffer.alloc(0);
    while (rest.length > 0) {
      const end = rest.indexOf(NEWLINE);
      const mayBeReport = !this.#isInText && rest[0] === OPENING_BRACE;
      if (end < 0 && mayBeReport && rest.length <= MAX_LINE_BYTES) {
        this.#held = Buffer.from(rest); // not a view of a chunk that would be kept whole
        return;
      }
      const line = end < 0 ? rest : rest.subarray(0, end + 1);
      const report = mayBeReport && end >= 0 ? readReport(line) : undefined;
      if (report === undefined) this.#onText(line);
      else this.#onReport(report);
      this.#isInText = end < 0;
      rest = rest.subarray(line.length);
    }
  }

  /** Nothing more comes: what waits is no whole line, so it is no report. */
  flush(): void {
    if (this.#held.length > 0) this.#onText(this.#held);
    this.#held = Buffer.alloc(0);
  }
}

function readReport(line: Buffer): FilterReport | undefined {
  if (line.length > MAX_LINE_BYTES) return undefined;
  try {
    return FilterReport.safeParse(JSON.parse(line.toString("utf8"))).data;
  } catch {
    return undefined; // a log that begins with a brace
  }
}
