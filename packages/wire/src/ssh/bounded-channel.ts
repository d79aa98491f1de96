import { Duplex } from "node:stream";
import { AppError } from "@hardshare/protocol";
import { Backlog } from "./backlog.ts";
import { PACKET_BYTES, WINDOW_BYTES, WINDOW_STEP_BYTES } from "./limits.ts";

/** What a channel does through its connection. */
export interface ChannelLink {
  sendData(data: Buffer): void;
  openWindow(bytes: number): void;
  sendEof(): void;
  sendClose(): void;
  /** Calls `sendPacket` of the channel as soon as the connection takes bytes, now if it can. */
  schedule(channel: BoundedChannel): void;
}

interface PendingWrite {
  chunk: Buffer;
  done: (error?: Error | null) => void;
}

/**
 * One SSH channel as a stream, with half-close both ways. It holds at most its receive window, and it opens the window
 * only by what its reader has taken; `write` is done when the bytes are with the connection, which takes them only
 * while its send queue is short. Destroying it, or a close by the peer without an end of data, is a reset.
 */
export class BoundedChannel extends Duplex {
  readonly #link: ChannelLink;
  readonly #packetBytes: number;
  readonly #backlog = new Backlog();
  #sendWindow: number;
  #receiveWindow = WINDOW_BYTES;
  #pending: PendingWrite | undefined;
  #isWanted = false;
  #hasEof = false;
  #isCloseSent = false;

  constructor(link: ChannelLink, peer: { window: number; packetSize: number }) {
    // Readable's own buffer holds one chunk at most; the backlog holds the rest. Writable's holds none after a first.
    super({ readableHighWaterMark: 1, writableHighWaterMark: 1, allowHalfOpen: true });
    this.#link = link;
    this.#sendWindow = peer.window;
    this.#packetBytes = Math.min(PACKET_BYTES, peer.packetSize);
    this.on("error", () => {}); // a reset that nobody listens for must not end the process; `close` follows
  }

  /** Whether the peer, or our own reader, has stopped taking bytes. */
  get isStalled(): boolean {
    return !this.destroyed && ((this.#pending !== undefined && this.#sendWindow === 0) || this.#receiveWindow < WINDOW_STEP_BYTES);
  }

  /** Bytes held for a reader that has not taken them, plus those that the peer has no window for. */
  get bufferedBytes(): number {
    return this.#backlog.length + this.readableLength + this.writableLength;
  }

  /** Takes data from the peer. @returns false when it overruns its window */
  receiveData(data: Buffer): boolean {
    if (data.length > this.#receiveWindow) return false;
    this.#receiveWindow -= data.length;
    if (this.destroyed || this.#hasEof) return true;
    // A reader that takes what comes gets all packets of one turn in that turn.
    const isTaken = this.readableFlowing === true && this.readableLength === 0;
    if ((this.#isWanted || isTaken) && this.#backlog.length === 0) {
      this.#isWanted = false;
      this.push(data);
    } else {
      this.#backlog.add(data);
    }
    this.#openWindow();
    return true;
  }

  receiveEof(): void {
    if (this.#hasEof) return;
    this.#hasEof = true;
    if (this.#backlog.length === 0) this.push(null);
  }

  /** The peer sends nothing more and takes nothing more. What it sent is still delivered when it said that it ended. */
  receiveClose(): void {
    if (!this.#hasEof) {
      this.destroy(new AppError("connection_lost", "the other side reset the stream"));
    } else if (this.readableEnded) {
      this.destroy();
    } else {
      this.once("end", () => this.destroy());
    }
  }

  /** The peer takes more bytes. @returns false when it says more than the protocol can count */
  receiveWindow(bytes: number): boolean {
    this.#sendWindow += bytes;
    if (this.#sendWindow > 0xffff_ffff) return false;
    if (this.#pending !== undefined) this.#link.schedule(this);
    return true;
  }

  /** Sends one packet of what is pending. @returns whether there is more to send right now */
  sendPacket(): boolean {
    const pending = this.#pending;
    if (pending === undefined || this.#sendWindow === 0) return false;
    const size = Math.min(pending.chunk.length, this.#sendWindow, this.#packetBytes);
    this.#sendWindow -= size;
    this.#link.sendData(pending.chunk.subarray(0, size));
    pending.chunk = pending.chunk.subarray(size);
    if (pending.chunk.length > 0) return this.#sendWindow > 0;
    this.#pending = undefined;
    pending.done();
    return false;
  }

  override _read(): void {
    const chunk = this.#backlog.take();
    if (chunk === undefined) {
      this.#isWanted = true;
      return;
    }
    this.#isWanted = false;
    this.push(chunk);
    if (this.#hasEof && this.#backlog.length === 0) this.push(null);
    this.#openWindow();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (chunk.length === 0) return done();
    this.#pending = { chunk, done };
    this.#link.schedule(this);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#link.sendEof();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#backlog.clear();
    if (!this.#isCloseSent) {
      this.#isCloseSent = true;
      this.#link.sendClose();
    }
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.done(error ?? new AppError("connection_lost", "the stream was closed"));
    done(error);
  }

  #openWindow(): void {
    if (this.#hasEof || this.destroyed) return;
    const consumed = WINDOW_BYTES - this.#receiveWindow - this.#backlog.length - this.readableLength;
    if (consumed < WINDOW_STEP_BYTES) return;
    this.#receiveWindow += consumed;
    this.#link.openWindow(consumed);
  }
}
