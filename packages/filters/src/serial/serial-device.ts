import { type Clock, Deferred, type Logger } from "@hardshare/runtime";
import { findOpeners } from "./find-openers.ts";
import { type OpenDevice, openDevice } from "./open-device.ts";
import { TerminalFile } from "../terminal/terminal-file.ts";
import { watchPath } from "./watch-path.ts";

/** How long it is waited before it is tried again to open a device that is away, when nothing tells that it is back. */
const TRY_AGAIN_FIRST_MS = 250;
const TRY_AGAIN_MAX_MS = 5000;

export interface SerialDeviceOptions {
  readonly path: string;
  /** Bits per second. */
  readonly baud: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onData: (bytes: Buffer) => void;
  /** It takes more again, after `canTake` was false. */
  readonly onDrain: () => void;
  /** It was unplugged, or ended otherwise. What waited to be written is dropped. */
  readonly onGone: () => void;
}

/** A serial device, opened again whenever it comes back. */
export class SerialDevice implements AsyncDisposable {
  readonly #options: SerialDeviceOptions;
  readonly #closing = new AbortController();
  #open: (OpenDevice & { readonly file: TerminalFile }) | undefined;
  #isPaused = false;
  /** How many drop what waits. */
  #drops = 0;
  #comingBack: Promise<void> = Promise.resolve();

  private constructor(options: SerialDeviceOptions) {
    this.#options = options;
  }

  /** @throws AppError `device_missing`, `device_unusable` */
  static async open(options: SerialDeviceOptions): Promise<SerialDevice> {
    const device = new SerialDevice(options);
    device.#take(await openDevice(options.path, options.baud));
    void device.#tellOpeners();
    return device;
  }

  get isThere(): boolean {
    return this.#open !== undefined;
  }

  /** Whether it is there, and took all that was written before. */
  get canTake(): boolean {
    return this.#drops === 0 && this.#open?.file.isDrained === true;
  }

  /** Writes a whole message; only when `canTake`. */
  write(bytes: Buffer): void {
    this.#open?.file.write(bytes);
  }

  /** Drops what is not yet on the wire, also what waits in the kernel; until then it takes nothing. A message may end midway. */
  async drop(): Promise<void> {
    this.#drops += 1;
    this.#open?.file.drop();
    await this.#open?.port.flush().catch(() => {}); // of one that is gone there is nothing to drop
    this.#drops -= 1;
    if (this.canTake) this.#options.onDrain();
  }

  /** Reads nothing more, until resumed: what it sends meanwhile waits in the kernel, as far as that has room. */
  pause(): void {
    this.#isPaused = true;
    this.#open?.file.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#open?.file.resume();
  }

  /** What is not yet on the wire is dropped, also by the kernel. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#release();
    await this.#comingBack;
  }

  #take(device: OpenDevice): void {
    const { onData, onDrain } = this.#options;
    const file = new TerminalFile(device.fd, device.port, { onData, onDrain, onHangUp: () => this.#onHangUp() });
    this.#open = { ...device, file };
    if (!this.#isPaused) file.resume();
  }

  async #release(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    if (open === undefined) return;
    open.file.close();
    await open.port.flush().catch(() => {}); // of one that is gone there is nothing to drop
    await open.port.close().catch(() => {});
  }

  #onHangUp(): void {
    const { path, logger, onGone } = this.#options;
    logger.warn("the device is gone: nothing passes until it is back", { device: path });
    const released = this.#release();
    onGone();
    this.#comingBack = released.then(() => this.#comeBack());
  }

  async #comeBack(): Promise<void> {
    const { path, baud, logger } = this.#options;
    const { signal } = this.#closing;
    let told = "";
    for (let waitMs = TRY_AGAIN_FIRST_MS; !signal.aborted; waitMs = Math.min(2 * waitMs, TRY_AGAIN_MAX_MS)) {
      using change = this.#watchForChange(waitMs); // from before it is tried, so that nothing is missed
      try {
        const device = await openDevice(path, baud);
        this.#take(device);
        if (signal.aborted) return await this.#release();
        logger.info("the device is back", { device: path });
        return;
      } catch (error) {
        const { message } = error as Error;
        if (message !== told) logger.warn("the device cannot be opened yet", { device: path, because: message });
        told = message;
      }
      await change.happened;
    }
  }

  /** `happened` settles when the device may be back, after a time at the latest. */
  #watchForChange(waitMs: number): Disposable & { readonly happened: Promise<void> } {
    const { path, clock } = this.#options;
    const { signal } = this.#closing;
    const happened = new Deferred();
    const finish = () => happened.resolve();
    const watched = watchPath(path, finish);
    const timer = clock.after(waitMs, finish);
    signal.addEventListener("abort", finish, { once: true });
    if (signal.aborted) finish();
    return {
      happened: happened.promise,
      [Symbol.dispose]() {
        watched[Symbol.dispose]();
        timer[Symbol.dispose]();
        signal.removeEventListener("abort", finish);
      },
    };
  }

  /** Others may have it open without a lock: what they write reaches the device unjudged. */
  async #tellOpeners(): Promise<void> {
    const { path, logger } = this.#options;
    const openers = await findOpeners(path);
    if (openers.length > 0) logger.warn("other programs have the device open; what they write is not judged", { device: path, openers });
  }
}
