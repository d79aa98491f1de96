import type { ChannelClock } from "./needs.ts";

/*
 * How a pulled cable shows at the server in 3 s at the median and always within 5 (P15), while a bad line, 2 % loss and
 * up to 300 ms of jitter each way, raises no alarm:
 *
 * The peer that connected asks (a ping) and the server answers (a ping too, which peers of every version know). On a
 * calm line it asks each 1.5 s, and 3.2 s of silence are the end: 3.2 + 0.1 - 1.5 / 2 = 2.6 s after the pull at the
 * median, 3.3 s at most, for one small frame each way in 1.5 s.
 *
 * On a bad line TCP alone is too slow. The loss of a frame that nothing follows is noticed after a probe timeout of two
 * round trips + 0.2 s (RFC 8985 §7.2), the loss of what is sent again after a timer that doubles (RFC 6298 §5.5): with
 * round trips of 0.3 s two losses in a row, 1 frame in 2,500, make 1.5 + 0.8 + 0.9 + 0.2 = 3.4 s of silence. Where frames
 * follow each other, a loss is seen by selective acknowledgement after one round trip, that of the repetition too
 * (RFC 8985 §6.2). So on a line that shows itself as rough, because an answer takes long, is asked each 0.5 s; the server
 * sees it by how fast the pings come, and both are more patient. One answer in three takes longer than 0.35 s there
 * (the sum of two delays of 0 to 0.3 s), so that it is known within seconds and stays known.
 *
 * Measured with Linux 6.18, 900 minutes of connections at 2 % loss and 0 to 300 ms of delay: the longest silence at a
 * server was 3.2 s, no alarm; with 3.2 s of patience and pings each 1.5 s it would be one in 200 minutes. At 0 to 600 ms
 * of delay there was one alarm in 200 minutes.
 */

/** An asking side that had nothing to say for this long asks. */
const PING_AFTER_MS = 1500;
/** The same on a rough line. */
const ROUGH_PING_AFTER_MS = 500;
/** An answering side that had nothing to say for so long, not even an answer, says that it is there: to peers that do not ask. */
const UNASKED_PING_AFTER_MS = 2000;
/** A side that heard nothing for this long takes the other for gone. */
const DEAD_AFTER_MS = 3200;
/** The same on a rough line: also with the delay of the last frame before the cable was pulled, within 5 s. */
const ROUGH_DEAD_AFTER_MS = 4200;
/** A line is rough when nothing is heard for so long after asking: more than a round trip between continents. */
const SLOW_ANSWER_MS = 350;
/** A line is rough, for the side that answers, when two pings come within less. */
const HURRIED_MS = 1000;
/** How long a line counts as rough after the last sign of it; on one that is, the next comes long before. */
const ROUGH_FOR_MS = 15_000;
/** Pings that a lost one held up come together: one answer is enough for them. */
const ANSWER_ONCE_IN_MS = 100;
/** After silence was noticed, time to read frames that wait already: a process that was itself stopped accuses nobody. */
const LATE_FRAMES_MS = 100;

/** What is watched. */
export interface WatchedLine {
  /** Bytes that came so far: a large message on a slow line is a sign of life long before it is complete. */
  bytesRead(): number;
  /** Whether it is we who don't listen at the moment. */
  isPaused(): boolean;
  ping(): void;
  gone(reason: string): void;
}

/** Asks a peer for signs of life, or answers it, and tells when it is gone. */
export class PeerWatch implements Disposable {
  readonly #line: WatchedLine;
  readonly #clock: ChannelClock;
  readonly #role: "asks" | "answers";
  #pingTimer: Disposable | undefined;
  #answerTimer: Disposable | undefined;
  #deadTimer: Disposable | undefined;
  #lastSaidMs: number;
  #lastHeardMs: number;
  /** What had come at the last sign of life. */
  #heardBytes = 0;
  #lastPingHeardMs = Number.NEGATIVE_INFINITY;
  #lastAnswerMs = Number.NEGATIVE_INFINITY;
  #roughAtMs = Number.NEGATIVE_INFINITY;
  #isDoubted = false;
  #isOver = false;

  constructor(options: { line: WatchedLine; clock: ChannelClock; role: "asks" | "answers" }) {
    this.#line = options.line;
    this.#clock = options.clock;
    this.#role = options.role;
    this.#lastSaidMs = this.#lastHeardMs = this.#clock.monotonicMs();
    this.#armPing(this.#pingAfterMs());
    this.#armDead(DEAD_AFTER_MS);
  }

  /** Something was sent. */
  noteSaid(): void {
    this.#lastSaidMs = this.#clock.monotonicMs();
  }

  /** Something came, or could not be heard until now. */
  noteHeard(): void {
    this.#lastHeardMs = this.#clock.monotonicMs();
    this.#heardBytes = this.#line.bytesRead();
    this.#isDoubted = false;
    this.#answerTimer?.[Symbol.dispose]();
    this.#answerTimer = undefined;
  }

  /** What came is a ping. */
  notePing(): void {
    if (this.#role === "asks") return;
    const now = this.#clock.monotonicMs();
    if (now - this.#lastPingHeardMs < HURRIED_MS) this.#roughAtMs = now;
    this.#lastPingHeardMs = now;
    if (now - this.#lastAnswerMs < ANSWER_ONCE_IN_MS) return;
    this.#lastAnswerMs = now;
    this.#line.ping();
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#pingTimer?.[Symbol.dispose]();
    this.#answerTimer?.[Symbol.dispose]();
    this.#deadTimer?.[Symbol.dispose]();
  }

  // Timers run to the end of the silence that was known when they were set: a busy channel re-arms nothing per frame.
  #armPing(delayMs: number): void {
    this.#pingTimer?.[Symbol.dispose]();
    this.#pingTimer = this.#clock.after(delayMs, () => {
      const dueInMs = this.#pingAfterMs() - (this.#clock.monotonicMs() - this.#lastSaidMs);
      if (dueInMs > 0) return this.#armPing(dueInMs);
      this.#line.ping();
      if (this.#isOver) return;
      if (this.#role === "asks" && this.#answerTimer === undefined) this.#awaitAnswer(SLOW_ANSWER_MS - LATE_FRAMES_MS, true);
      this.#armPing(this.#pingAfterMs());
    });
  }

  #awaitAnswer(delayMs: number, mayBeLate: boolean): void {
    this.#answerTimer = this.#clock.after(delayMs, () => {
      this.#noteBytes();
      if (this.#answerTimer === undefined) return;
      if (mayBeLate) return this.#awaitAnswer(LATE_FRAMES_MS, false);
      this.#answerTimer = undefined;
      if (this.#line.isPaused()) return;
      const now = this.#clock.monotonicMs();
      this.#roughAtMs = now;
      this.#armPing(Math.max(0, ROUGH_PING_AFTER_MS - (now - this.#lastSaidMs)));
    });
  }

  #armDead(delayMs: number): void {
    this.#deadTimer = this.#clock.after(delayMs, () => {
      this.#noteBytes();
      const silentMs = this.#clock.monotonicMs() - this.#lastHeardMs;
      const patienceMs = this.#isRough() ? ROUGH_DEAD_AFTER_MS : DEAD_AFTER_MS;
      if (this.#line.isPaused()) return this.#armDead(patienceMs);
      if (silentMs < patienceMs) return this.#armDead(patienceMs - silentMs);
      if (!this.#isDoubted) {
        this.#isDoubted = true;
        return this.#armDead(LATE_FRAMES_MS);
      }
      this.#line.gone(`heard nothing for ${patienceMs / 1000} s`);
    });
  }

  #noteBytes(): void {
    if (this.#line.bytesRead() !== this.#heardBytes) this.noteHeard();
  }

  #isRough(): boolean {
    return this.#clock.monotonicMs() - this.#roughAtMs < ROUGH_FOR_MS;
  }

  #pingAfterMs(): number {
    if (this.#role === "answers") return UNASKED_PING_AFTER_MS;
    return this.#isRough() ? ROUGH_PING_AFTER_MS : PING_AFTER_MS;
  }
}
