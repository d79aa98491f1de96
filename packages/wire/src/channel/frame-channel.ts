import { AppError } from "@hardshare/protocol";
import type { MessageSocket } from "./message-socket.ts";
import type { ChannelClock, MessageSchema } from "./needs.ts";

/** A side that had nothing to say for this long sends a ping. */
export const PING_AFTER_MS = 1500;
/**
 * A side that heard nothing for this long takes the other for gone: offline shows within 5 s of a pulled cable (P15),
 * while two pings in a row may be lost or late by a TCP retransmission (RFC 6298: 1 s, then 2 s) without a false alarm.
 */
export const DEAD_AFTER_MS = 4500;
/** Bytes queued towards a peer that does not read; above it the channel is closed, and the peer looks again when it is back. */
export const MAX_SEND_BUFFER_BYTES = 8 * 1024 * 1024;
/**
 * Characters of messages received and not yet handled, above which nothing more is read until half of them are handled:
 * a peer that sends faster than is handled waits. What one read of the socket brought may come on top.
 */
export const MAX_RECEIVE_QUEUE_CHARS = 1024 * 1024;

/** After silence was noticed, time to read frames that wait already. */
const LATE_FRAMES_MS = 100;

const PING = JSON.stringify({ type: "ping" });

export interface FrameChannelOptions<In> {
  socket: MessageSocket;
  receive: MessageSchema<In>;
  clock: ChannelClock;
}

/**
 * JSON messages over a socket, with liveness and limits. Messages are handed over in order, one at a time or all that
 * wait: the next ones wait until the handler has settled. A frame that breaks the protocol closes the channel.
 */
export class FrameChannel<In, Out> implements AsyncDisposable {
  /** Settles with the reason when the channel has ended. Never rejects. */
  readonly closed: Promise<string>;
  readonly #socket: MessageSocket;
  readonly #receive: MessageSchema<In>;
  readonly #clock: ChannelClock;
  readonly #queue: { message: In; chars: number }[] = [];
  #queuedChars = 0;
  #isPaused = false;
  #handler: ((messages: readonly In[]) => void | Promise<void>) | undefined;
  #maxBatch = 1;
  #reader: { resolve(message: In): void; reject(error: Error): void } | undefined;
  #isHandling = false;
  #isOpen = true;
  #pingTimer: Disposable | undefined;
  #deadTimer: Disposable | undefined;
  #lastHeardMs: number;
  /** What had come at the last sign of life. */
  #heardBytes = 0;
  #isDoubted = false;
  #settle!: (reason: string) => void;

  constructor(options: FrameChannelOptions<In>) {
    this.#socket = options.socket;
    this.#receive = options.receive;
    this.#clock = options.clock;
    this.closed = new Promise((resolve) => (this.#settle = resolve));
    this.#lastHeardMs = this.#clock.monotonicMs();
    this.#socket.listen({ onText: (text) => this.#onText(text), onClose: (reason) => this.#end(reason) });
    this.#armPing();
    this.#armDead(DEAD_AFTER_MS);
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /**
   * The next message, before `handle` is called: how a handshake reads in turn.
   * @throws AppError `connection_lost` with the reason when the channel ends first
   */
  next(): Promise<In> {
    const message = this.#take();
    if (message !== undefined) return Promise.resolve(message);
    if (!this.#isOpen) return this.closed.then((reason) => Promise.reject(new AppError("connection_lost", reason)));
    return new Promise((resolve, reject) => (this.#reader = { resolve, reject }));
  }

  /** Sets who handles messages; those that came before are handed over now. A handler that throws closes the channel. */
  handle(handler: (message: In) => void | Promise<void>): void {
    this.handleBatches(1, ([message]) => handler(message as In));
  }

  /** The same for a handler that takes all messages that wait, at most `maxBatch` and at least one. */
  handleBatches(maxBatch: number, handler: (messages: readonly In[]) => void | Promise<void>): void {
    this.#maxBatch = maxBatch;
    this.#handler = handler;
    void this.#drain();
  }

  /** Queues a message. @returns false when the channel has ended (the message is lost; look again when reconnected) */
  send(message: Out): boolean {
    return this.#sendText(JSON.stringify(message));
  }

  /** Ends the channel; `reason` reaches the other side where the socket can carry it. */
  close(reason: string): void {
    if (!this.#isOpen) return;
    this.#socket.close(reason);
    this.#end(reason);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close("closed");
    await this.closed;
  }

  #sendText(text: string): boolean {
    if (!this.#isOpen) return false;
    if (this.#socket.bufferedBytes() > MAX_SEND_BUFFER_BYTES) {
      this.#fail("the peer does not read");
      return false;
    }
    this.#socket.send(text);
    this.#armPing();
    return true;
  }

  #onText(text: string): void {
    if (!this.#isOpen) return;
    this.#noteLife();
    if (text === PING) return;
    let data: unknown;
    try {
      data = JSON.parse(text);
    } catch {
      return this.#fail("the peer sent what is no JSON");
    }
    const parsed = this.#receive.safeParse(data);
    if (!parsed.success) return this.#fail(`the peer sent a message that does not fit: ${parsed.error.message.slice(0, 500)}`);
    const reader = this.#reader;
    if (reader !== undefined) {
      this.#reader = undefined;
      return reader.resolve(parsed.data);
    }
    this.#queue.push({ message: parsed.data, chars: text.length });
    this.#queuedChars += text.length;
    if (!this.#isPaused && this.#queuedChars > MAX_RECEIVE_QUEUE_CHARS) {
      this.#isPaused = true;
      this.#socket.pause();
    }
    void this.#drain();
  }

  #take(): In | undefined {
    const first = this.#queue.shift();
    if (first === undefined) return undefined;
    this.#queuedChars -= first.chars;
    if (this.#isPaused && this.#queuedChars <= MAX_RECEIVE_QUEUE_CHARS / 2) {
      this.#isPaused = false;
      this.#noteLife(); // it could not be heard meanwhile
      this.#socket.resume();
    }
    return first.message;
  }

  async #drain(): Promise<void> {
    if (this.#handler === undefined || this.#isHandling) return;
    this.#isHandling = true;
    try {
      while (this.#queue.length > 0 && this.#isOpen) {
        const messages: In[] = [];
        for (let message = this.#take(); message !== undefined; message = messages.length < this.#maxBatch ? this.#take() : undefined) {
          messages.push(message);
        }
        await this.#handler(messages);
      }
    } catch (error) {
      this.#fail(error instanceof Error ? error.message : String(error));
    } finally {
      this.#isHandling = false;
    }
  }

  #armPing(): void {
    this.#pingTimer?.[Symbol.dispose]();
    this.#pingTimer = this.#clock.after(PING_AFTER_MS, () => this.#sendText(PING));
  }

  #noteLife(): void {
    this.#lastHeardMs = this.#clock.monotonicMs();
    this.#heardBytes = this.#socket.bytesRead();
    this.#isDoubted = false;
  }

  // The timer runs to the end of the silence that was known when it was set: a busy channel re-arms nothing per frame.
  #armDead(delayMs: number): void {
    this.#deadTimer = this.#clock.after(delayMs, () => {
      // A large message on a slow line is a sign of life long before it is complete.
      if (this.#socket.bytesRead() !== this.#heardBytes) this.#noteLife();
      const silentMs = this.#clock.monotonicMs() - this.#lastHeardMs;
      if (this.#isPaused) return this.#armDead(DEAD_AFTER_MS); // it is we who don't listen
      if (silentMs < DEAD_AFTER_MS) return this.#armDead(DEAD_AFTER_MS - silentMs);
      // A process that was itself stopped for a while first reads what waits for it.
      if (!this.#isDoubted) {
        this.#isDoubted = true;
        return this.#armDead(LATE_FRAMES_MS);
      }
      this.#fail(`heard nothing for ${DEAD_AFTER_MS / 1000} s`);
    });
  }

  #fail(reason: string): void {
    if (!this.#isOpen) return;
    this.#socket.close(reason);
    this.#socket.destroy();
    this.#end(reason);
  }

  #end(reason: string): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#queue.length = 0;
    this.#queuedChars = 0;
    this.#pingTimer?.[Symbol.dispose]();
    this.#deadTimer?.[Symbol.dispose]();
    this.#reader?.reject(new AppError("connection_lost", reason));
    this.#settle(reason);
  }
}
