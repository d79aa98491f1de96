import { StringDecoder } from "node:string_decoder";
import type { Clock } from "@hardshare/runtime";
import { MAX_REPORT_LOG_CHARS } from "@hardshare/protocol";

/** Characters of the last output that are kept for the report of a failure. */
const TAIL_CHARS = 4000;
/** How long output is gathered before it is passed on, so that a program that writes byte by byte costs little. */
const GATHER_MS = 100;
/** Characters that are passed on at most before the rest is dropped. */
const BURST_CHARS = 256 * 1024;

/**
 * The output of a program as text: decoded, gathered into pieces of at most `MAX_REPORT_LOG_CHARS`, and bounded. A
 * program may write 256 k characters, and `refillPerSecond` more each second; the rest is dropped, and said to be.
 */
export class ProgramOutput implements Disposable {
  readonly #emit: (text: string) => void;
  readonly #clock: Clock;
  readonly #refillPerSecond: number;
  readonly #decoders = { stdout: new StringDecoder("utf8"), stderr: new StringDecoder("utf8") };
  #gathered = "";
  #tail = "";
  #timer: Disposable | undefined;
  #allowance = BURST_CHARS;
  #allowanceAt: number;
  #droppedChars = 0;

  constructor(options: { emit: (text: string) => void; clock: Clock; refillPerSecond?: number }) {
    this.#emit = options.emit;
    this.#clock = options.clock;
    this.#refillPerSecond = options.refillPerSecond ?? 0;
    this.#allowanceAt = options.clock.monotonicMs();
  }

  /** The last lines, for a report of what went wrong. */
  get tail(): string {
    return this.#tail.trim();
  }

  write(chunk: Buffer, stream: "stdout" | "stderr" = "stdout"): void {
    this.#add(this.#decoders[stream].write(chunk).replaceAll("\0", "\uFFFD")); // databases refuse NUL in text
  }

  /** Passes on what is gathered. */
  flush(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    for (let start = 0; start < this.#gathered.length; start += MAX_REPORT_LOG_CHARS) {
      this.#emit(this.#gathered.slice(start, start + MAX_REPORT_LOG_CHARS));
    }
    this.#gathered = "";
    if (this.#droppedChars > 0) this.#emit(`… ${this.#droppedChars} more characters of output were dropped\n`);
    this.#droppedChars = 0;
  }

  [Symbol.dispose](): void {
    this.flush();
  }

  #add(text: string): void {
    if (text === "") return;
    this.#tail = (this.#tail + text).slice(-TAIL_CHARS);
    this.#refill();
    const kept = text.slice(0, this.#allowance);
    this.#allowance -= kept.length;
    this.#droppedChars += text.length - kept.length;
    this.#gathered += kept;
    if (this.#gathered.length >= MAX_REPORT_LOG_CHARS) return this.flush();
    if (this.#droppedChars > 0 && this.#refillPerSecond === 0 && this.#gathered === "") return; // said once, at the end
    this.#timer ??= this.#clock.after(GATHER_MS, () => this.flush());
  }

  #refill(): void {
    const now = this.#clock.monotonicMs();
    const earned = Math.floor(((now - this.#allowanceAt) / 1000) * this.#refillPerSecond);
    if (earned <= 0) return;
    this.#allowance = Math.min(BURST_CHARS, this.#allowance + earned);
    this.#allowanceAt = now;
  }
}
