import { AppError } from "@hardshare/protocol";
import type { MessageSocket } from "./message-socket.ts";
import type { ChannelClock, MessageSchema } from "./needs.ts";
import { PeerWatch } from "./peer-watch.ts";

/** Bytes queued towards a peer that does not read; above it the channel is closed, and the peer looks again when it is back. */
export const MAX_SEND_BUFFER_BYTES = 8 * 1024 * 1024;
/**
 * Characters of messages received and not yet handled, above which nothing more is read until half of them are handled:
 * a peer that sends faster than is handled waits. What one read of the socket brought may come on top.
 */
export const MAX_RECEIVE_QUEUE_CHARS = 1024 * 1024;

/** Known to peers of every version; it asks for a sign of life, or is one. */
const PING = JSON.stringify({ type: "ping" });

export interface FrameChannelOptions<In> {
  socket: MessageSocket;
  receive: MessageSchema<In>;
  clock: ChannelClock;
  /** Whether this side asks for signs of life (the one that connected), or answers. */
  watch: "asks" | "answers";
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
  readonly #watch: PeerWatch;
  readonly #queue: { message: In; chars: number }[] = [];
  #queuedChars = 0;
  #isPaused = false;
  #handler: ((messages: readonly In[]) => void | Promise<void>) | undefined;
  #maxBatch = 1;
  #reader: { resolve(message: In): void; reject(error: Error): void } | undefined;
  #isHandling = false;
  #isOpen = true;
  #settle!: (reason: string) => void;

  constructor(options: FrameChannelOptions<In>) {
    this.#socket = options.socket;
    this.#receive = options.receive;
    this.closed = new Promise((resolve) => (this.#settle = resolve));
    const line = {
      bytesRead: () => this.#socket.bytesRead(),
      isPaused: () => this.#isPaused,
      ping: () => void this.#sendText(PING),
      gone: (reason: string) => this.#fail(reason),
    };
    this.#watch = new PeerWatch({ line, clock: options.clock, role: options.watch });
    this.#socket.listen({ onText: (text) => this.#onText(text), onClose: (reason) => this.#end(reason) });
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
    this.#watch.noteSaid();
    return true;
  }

  #onText(text: string): void {
    if (!this.#isOpen) return;
    this.#watch.noteHeard();
    if (text === PING) return this.#watch.notePing();
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
      this.#watch.noteHeard(); // it could not be heard meanwhile
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
    this.#watch[Symbol.dispose]();
    this.#reader?.reject(new AppError("connection_lost", reason));
    this.#settle(reason);
  }
}
