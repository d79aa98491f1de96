import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { BackOff, type Clock, pause, type Random } from "@hardshare/runtime";
import { joinSockets } from "../../services/join-sockets.ts";

/** Delays between attempts while the service does not accept, or cuts: it does so while its device is away. */
const AGAIN_FIRST_MS = 50;
const AGAIN_MAX_MS = 1000;
/** How long what a service said last may take to come to the device file. */
const LAST_WORDS_MS = 1000;

export interface DeviceFileLinkOptions {
  /** Socket of the keeper. */
  readonly socket: string;
  /** A connection to the service. */
  readonly dial: () => Promise<Socket>;
  readonly clock: Clock;
  readonly random: Random;
  /** The keeper is gone, and with it the device file, until the end of the instance. */
  readonly onLost: () => void;
}

/** Carries what a device file's programs write to the service, and back, on one connection after the other. */
export class DeviceFileLink implements AsyncDisposable {
  readonly #options: DeviceFileLinkOptions;
  readonly #closing = new AbortController();
  readonly #carried: Promise<void>;

  constructor(options: DeviceFileLinkOptions) {
    this.#options = options;
    this.#carried = this.#carryOn();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#carried;
  }

  async #carryOn(): Promise<void> {
    const { clock, random, dial, onLost } = this.#options;
    const { signal } = this.#closing;
    const backOff = new BackOff({ firstMs: AGAIN_FIRST_MS, maxMs: AGAIN_MAX_MS, random });
    while (!signal.aborted) {
      const service = await dial().catch(() => undefined);
      if (service !== undefined) {
        service.on("error", () => {}); // it may be cut before it is joined
        const keeper = await this.#reachKeeper();
        if (keeper === undefined) {
          service.destroy();
          return signal.aborted ? undefined : onLost();
        }
        const startedAt = clock.monotonicMs();
        await this.#carry(keeper, service);
        if (clock.monotonicMs() - startedAt > AGAIN_MAX_MS) backOff.reset();
      }
      await pause(clock, backOff.nextMs(), signal);
    }
  }

  async #reachKeeper(): Promise<Socket | undefined> {
    const keeper = connect({ path: this.#options.socket, allowHalfOpen: true });
    try {
      await once(keeper, "connect", { signal: this.#closing.signal });
      return keeper;
    } catch {
      keeper.destroy();
      return undefined;
    }
  }

  async #carry(keeper: Socket, service: Socket): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#closing;
    const cut = () => {
      service.destroy();
      keeper.destroy();
    };
    const parted = Promise.all([closed(keeper), closed(service)]);
    joinSockets(keeper, service);
    // A device file has no end of one way. A keeper that reads nothing, because nobody takes it, does not hear of the other's.
    service.once("end", () => service.destroy());
    keeper.once("end", cut);
    let lastWords: Disposable | undefined;
    service.once("close", () => (lastWords = clock.after(LAST_WORDS_MS, cut)));
    signal.addEventListener("abort", cut, { once: true });
    if (signal.aborted || service.destroyed) cut();
    await parted;
    lastWords?.[Symbol.dispose]();
    signal.removeEventListener("abort", cut);
  }
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once("close", () => resolve());
  });
}
