import { Duplex } from "node:stream";
import { AppError } from "@hardshare/protocol";
import { FrameChannel, type ChannelClock, type MessageSocket } from "@hardshare/wire";

/** What two ends of a simulated SSH connection say to each other. */
type Frame =
  | { type: "login"; username: string; key: string }
  | { type: "forward" }
  | { type: "forwarded"; isAllowed: boolean }
  | { type: "open"; stream: string; host: string }
  | { type: "opened" | "end" | "cut"; stream: string }
  | { type: "refused"; stream: string; reason: string }
  | { type: "data"; stream: string; bytes: string };

type SessionFrame = Extract<Frame, { type: "login" | "forward" | "forwarded" }>;

/** A stream that the other side asks for. */
export interface StreamRequest {
  host: string;
  accept(): Duplex;
  reject(reason: string): void;
}

/** An SSH connection of a simulation: streams over one connection, with the liveness and the limits of a channel. */
export class StreamTable {
  readonly closed: Promise<string>;
  readonly #channel: FrameChannel<Frame, Frame>;
  readonly #streams = new Map<string, TableStream>();
  readonly #asked = new Map<string, { resolve: (stream: Duplex) => void; reject: (error: AppError) => void }>();
  readonly #side: string;
  #count = 0;
  /** Called for what concerns the connection itself. */
  onFrame: (frame: SessionFrame) => void;
  onRequest: (request: StreamRequest) => void = (request) => request.reject("no streams here");

  /** @param onFrame set from the beginning: what the other side says first may have come already */
  constructor(socket: MessageSocket, clock: ChannelClock, side: "client" | "server", onFrame: (frame: SessionFrame) => void = () => {}) {
    this.#side = side;
    this.onFrame = onFrame;
    this.#channel = new FrameChannel<Frame, Frame>({
      socket,
      clock,
      watch: side === "client" ? "asks" : "answers",
      receive: { safeParse: (data) => ({ success: true, data: data as Frame }) },
    });
    this.closed = this.#channel.closed;
    this.#channel.handle((frame) => this.#hear(frame));
    void this.closed.then(() => this.#end());
  }

  // What a hub's choice among the connections of a host goes by.
  get isClosed(): boolean {
    return !this.#channel.isOpen;
  }
  get size(): number {
    return this.#streams.size + this.#asked.size;
  }
  readonly isFull = false;
  readonly isStalled = false;
  readonly silentMs = 0;
  readonly carriedBytes = 0;

  send(frame: Frame): void {
    this.#channel.send(frame);
  }

  /** @throws AppError `connection_lost`, `cancelled` */
  open({ host }: { host: string }, signal: AbortSignal): Promise<Duplex> {
    const stream = `${this.#side}${this.#count++}`;
    return new Promise((resolve, reject) => {
      if (this.isClosed) return reject(new AppError("connection_lost", "the connection has ended"));
      const cancel = () => {
        if (this.#asked.delete(stream)) reject(new AppError("cancelled", "the stream is no longer wanted"));
      };
      const settled = () => signal.removeEventListener("abort", cancel);
      this.#asked.set(stream, {
        resolve: (opened) => {
          settled();
          resolve(opened);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      });
      signal.addEventListener("abort", cancel, { once: true });
      if (signal.aborted) return cancel();
      this.send({ type: "open", stream, host });
    });
  }

  cut(): void {
    this.#channel.close("cut");
  }

  #hear(frame: Frame): void {
    switch (frame.type) {
      case "open":
        return this.#ask(frame);
      case "opened": {
        const asked = this.#asked.get(frame.stream);
        if (asked === undefined) return this.send({ type: "cut", stream: frame.stream });
        this.#asked.delete(frame.stream);
        return asked.resolve(this.#add(frame.stream));
      }
      case "refused":
        this.#asked.get(frame.stream)?.reject(new AppError("connection_lost", frame.reason));
        this.#asked.delete(frame.stream);
        return;
      case "data":
        return this.#streams.get(frame.stream)?.receive(Buffer.from(frame.bytes, "base64"));
      case "end":
        return this.#streams.get(frame.stream)?.receive(null);
      case "cut":
        return void this.#streams.get(frame.stream)?.destroy();
      case "login":
      case "forward":
      case "forwarded":
        return this.onFrame(frame);
    }
  }

  #ask({ stream, host }: { stream: string; host: string }): void {
    this.onRequest({
      host,
      accept: () => {
        if (this.isClosed) throw new AppError("connection_lost", "the connection has ended");
        this.send({ type: "opened", stream });
        return this.#add(stream);
      },
      reject: (reason) => this.send({ type: "refused", stream, reason }),
    });
  }

  #add(id: string): Duplex {
    const stream = new TableStream((frame) => this.send(frame), id);
    this.#streams.set(id, stream);
    stream.once("close", () => this.#streams.delete(id));
    return stream;
  }

  #end(): void {
    for (const asked of this.#asked.values()) asked.reject(new AppError("connection_lost", "the connection has ended"));
    this.#asked.clear();
    for (const stream of this.#streams.values()) stream.destroy();
  }
}

class TableStream extends Duplex {
  readonly #send: (frame: Frame) => void;
  readonly #id: string;

  constructor(send: (frame: Frame) => void, id: string) {
    super();
    this.#send = send;
    this.#id = id;
    this.on("error", () => {});
  }

  receive(bytes: Buffer | null): void {
    if (!this.destroyed) this.push(bytes);
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#send({ type: "data", stream: this.#id, bytes: chunk.toString("base64") });
    done();
  }

  override _final(done: () => void): void {
    this.#send({ type: "end", stream: this.#id });
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#send({ type: "cut", stream: this.#id });
    done(error);
  }
}
