import { readSync, writeSync } from "node:fs";
import type { LinuxPortBinding } from "@serialport/bindings-cpp";

/** Events of `libuv` that the library's poller tells (`UV_READABLE`, `UV_WRITABLE`). */
const READABLE = 1;
const WRITABLE = 2;
const READ_BYTES = 64 * 1024;
/** Reads in one turn, so that other work has its turn too. */
const READS_PER_TURN = 4;

export interface TerminalEvents {
  readonly onData: (bytes: Buffer) => void;
  /** What was left of a write is written. */
  readonly onDrain: () => void;
  /** Nobody is at the other end: reading has stopped. */
  readonly onHangUp: () => void;
}

/** The part of the library's port that is used. */
export type PolledFile = Pick<LinuxPortBinding, "poller">;

/**
 * Bytes of a terminal (a serial device, or one end of a pseudo-terminal) that is open without blocking. The library's
 * own reading spins when a device hangs up, and does not read while it waits to write, so that two ends that both wait
 * to be read never go on; its poller is used, and nothing else of it.
 */
export class TerminalFile {
  readonly #fd: number;
  readonly #poller: PolledFile["poller"];
  readonly #events: TerminalEvents;
  readonly #buffer = Buffer.allocUnsafe(READ_BYTES);
  #rest: Buffer | undefined;
  #isReading = false;
  #isClosed = false;

  constructor(fd: number, { poller }: PolledFile, events: TerminalEvents) {
    this.#fd = fd;
    this.#poller = poller;
    this.#events = events;
    // An error of the poller shows when reading or writing: of a device that is gone both fail.
    poller.on("readable", () => this.#onReadable());
    poller.on("writable", () => this.#onWritable());
  }

  /** Whether all that was written is with the kernel. */
  get isDrained(): boolean {
    return this.#rest === undefined;
  }

  resume(): void {
    this.#isReading = true;
    this.#watch();
  }

  pause(): void {
    this.#isReading = false;
    this.#watch();
  }

  /** Writes what the kernel takes now, and the rest when it can. Call it only when all before is drained. */
  write(bytes: Buffer): void {
    this.#rest = bytes;
    this.#writeRest();
    if (this.#rest !== undefined) this.#watch();
  }

  /** Drops what was not yet written. */
  drop(): void {
    this.#rest = undefined;
    this.#watch();
  }

  /** Listens to nothing more. Closing the file is the caller's. */
  close(): void {
    this.#isClosed = true;
    this.#rest = undefined;
    this.#poller.removeAllListeners();
  }

  /** Whether nobody is at the other end. What it reads by asking is told like any other. */
  isHungUp(): boolean {
    return this.#read() === "hung up";
  }

  /** Reads all that has come until now, also while paused. */
  readAll(): void {
    while (this.#read() === "data");
  }

  #onReadable(): void {
    for (let turn = 0; turn < READS_PER_TURN && this.#isReading && !this.#isClosed; turn += 1) {
      const result = this.#read();
      if (result === "nothing") break;
      if (result === "hung up") {
        this.#isReading = false;
        this.#watch();
        return this.#events.onHangUp();
      }
    }
    this.#watch();
  }

  #read(): "data" | "nothing" | "hung up" {
    const count = attempt(() => readSync(this.#fd, this.#buffer, 0, READ_BYTES, null));
    if (count === "later") return "nothing";
    if (count === "hung up" || count === 0) return "hung up";
    this.#events.onData(Buffer.from(this.#buffer.subarray(0, count)));
    return "data";
  }

  #onWritable(): void {
    const hadRest = this.#rest !== undefined;
    this.#writeRest();
    this.#watch();
    if (hadRest && this.#rest === undefined && !this.#isClosed) this.#events.onDrain();
  }

  #writeRest(): void {
    while (this.#rest !== undefined) {
      const bytes = this.#rest;
      const count = attempt(() => writeSync(this.#fd, bytes));
      if (count === "later") return;
      if (count === "hung up") this.#rest = undefined; // reading tells of it
      else this.#rest = count === bytes.length ? undefined : bytes.subarray(count);
    }
  }

  /** Always both together: the poller forgets what it was asked before. */
  #watch(): void {
    if (!this.#isClosed) this.#poller.poll((this.#isReading ? READABLE : 0) | (this.#rest === undefined ? 0 : WRITABLE));
  }
}

function attempt(call: () => number): number | "later" | "hung up" {
  try {
    return call();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === "EAGAIN" || code === "EINTR" ? "later" : "hung up";
  }
}
