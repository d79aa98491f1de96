import { type FilterDirection, MAX_TAP_EXCERPT_CHARS } from "@hardshare/protocol";
import { Allowance, type Clock } from "@hardshare/runtime";
import type { ReportStream } from "../channel/report-stream.ts";

/** What flows within this time is told together. */
const TOGETHER_MS = 1000;
/** Excerpts that an instance may put on its timeline at once, and each second. */
const BURST = 60;
const PER_SECOND = 0.2;
const UNPRINTABLE = /[^\x20-\x7e]/g;

interface Flow {
  service: string;
  direction: FilterDirection;
  sizeBytes: number;
  excerpt: string;
  timer: Disposable;
}

/**
 * Puts on the timeline how that begins which goes through a tapped service: for each direction the first bytes of what
 * flows within a second, and how many there were. When there is no room for more, it goes on counting.
 */
export class TapExcerpts implements Disposable {
  readonly #reports: Pick<ReportStream, "add">;
  readonly #clock: Clock;
  readonly #allowance: Allowance;
  readonly #flows = new Map<string, Flow>();

  constructor(options: { reports: Pick<ReportStream, "add">; clock: Clock }) {
    this.#reports = options.reports;
    this.#clock = options.clock;
    this.#allowance = new Allowance({ clock: options.clock, burst: BURST, perSecond: PER_SECOND });
  }

  add(service: string, direction: FilterDirection, chunk: Buffer): void {
    const key = `${direction} ${service}`;
    const flow = this.#flows.get(key) ?? { service, direction, sizeBytes: 0, excerpt: "", timer: this.#tellLater(key) };
    flow.sizeBytes += chunk.length;
    if (flow.excerpt.length < MAX_TAP_EXCERPT_CHARS) flow.excerpt = (flow.excerpt + printable(chunk)).slice(0, MAX_TAP_EXCERPT_CHARS);
    this.#flows.set(key, flow);
  }

  /** Tells what still waits. */
  [Symbol.dispose](): void {
    for (const flow of this.#flows.values()) {
      flow.timer[Symbol.dispose]();
      this.#tell(flow);
    }
    this.#flows.clear();
  }

  #tellLater(key: string): Disposable {
    return this.#clock.after(TOGETHER_MS, () => {
      const flow = this.#flows.get(key);
      if (flow === undefined) return;
      if (!this.#allowance.take()) {
        flow.timer = this.#tellLater(key);
        return;
      }
      this.#flows.delete(key);
      this.#tell(flow);
    });
  }

  #tell({ service, direction, sizeBytes, excerpt }: Flow): void {
    this.#reports.add({ kind: "tap", service, direction, sizeBytes, excerpt });
  }
}

/** The beginning of a chunk for people: line ends as marks, other bytes that cannot be shown as dots. */
function printable(chunk: Buffer): string {
  return chunk
    .toString("latin1", 0, MAX_TAP_EXCERPT_CHARS)
    .replaceAll("\r\n", "⏎")
    .replaceAll("\n", "⏎")
    .replaceAll(UNPRINTABLE, (character) => (character === "⏎" ? character : "·"));
}
