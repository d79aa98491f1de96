import { AppError, FORWARD_PORT } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import type { BoundedChannel } from "@hardshare/wire/ssh";
import type { InstanceSession } from "./sessions.ts";

/** Where a stream comes from: the user's address and port, passed on to the host. */
export interface Origin {
  address: string;
  port: number;
}

/**
 * Longest wait of a stream for the host's first connection: after a restart of the hub, users may be back before hosts.
 * How many may wait is limited by who may come (`Visitors`): a limit of its own would let one source take all places.
 */
const HOST_WAIT_MS = 10_000;
/** Longest time for a host to open a stream, in which it connects to its target. */
const OPEN_TIMEOUT_MS = 10_000;
/** A connection that has not answered for so long gets company: another one is tried too. */
export const ANSWER_WAIT_MS = 2000;
/** A connection that has owed an answer for so long is used when there is no other. */
const SILENT_MS = 1000;

/** The SSH connections whose forward one instance's host has bound, over which its streams are spread. */
export class HostLinks {
  readonly #clock: Clock;
  readonly #sessions = new Set<InstanceSession>();
  readonly #waiting = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#sessions.size;
  }

  add(session: InstanceSession): void {
    this.#sessions.add(session);
    for (const wake of this.#waiting) wake();
  }

  /** @returns whether it was there */
  remove(session: InstanceSession): boolean {
    return this.#sessions.delete(session);
  }

  /**
   * Opens a stream over the least loaded connection; the host has connected to its target then. One that does not answer
   * may be dead, so others are tried beside it; what is opened too late is closed.
   * @throws AppError `host_offline` when no connection comes in time, `busy` when all are full,
   *   `connection_lost` when the target refuses, `timed_out`, `cancelled` (signal)
   */
  async open(origin: Origin, signal: AbortSignal): Promise<BoundedChannel> {
    if (this.#sessions.size === 0) await this.#waitForHost(signal);
    return await new Promise((resolve, reject) => {
      const target = { host: "", port: FORWARD_PORT, originAddress: origin.address, originPort: origin.port };
      const tried = new Set<InstanceSession>();
      let pending = 0;
      let isSettled = false;
      let nextTimer: Disposable | undefined;
      const settle = (act: () => void) => {
        if (isSettled) return;
        isSettled = true;
        nextTimer?.[Symbol.dispose]();
        lateTimer[Symbol.dispose]();
        act();
      };
      const fail = (error: unknown) => settle(() => reject(error));
      const tryNext = () => {
        nextTimer?.[Symbol.dispose]();
        const session = this.#leastLoaded(tried);
        if (session === undefined) {
          if (pending === 0) fail(this.#describeShortage());
          return;
        }
        tried.add(session);
        pending += 1;
        nextTimer = this.#clock.after(ANSWER_WAIT_MS, tryNext);
        session.channels.open(target, signal).then(
          (stream) => {
            if (isSettled) stream.destroy();
            else settle(() => resolve(stream));
          },
          (error: unknown) => {
            pending -= 1;
            if (isSettled) return;
            // Only when that connection has ended is it another one's turn: else it is the target that refuses.
            if (session.channels.isClosed && !signal.aborted) tryNext();
            else fail(error);
          },
        );
      };
      const lateTimer = this.#clock.after(OPEN_TIMEOUT_MS, () =>
        fail(new AppError("timed_out", `the host did not open the stream within ${OPEN_TIMEOUT_MS / 1000} s`)),
      );
      tryNext();
    });
  }

  /** One that stands still, or owes an answer, is the last choice; then fewer streams, then fewer bytes carried so far. */
  #leastLoaded(except: ReadonlySet<InstanceSession>): InstanceSession | undefined {
    let best: { session: InstanceSession; load: readonly number[] } | undefined;
    for (const session of this.#sessions) {
      const { isClosed, isFull, isStalled, silentMs, size, carriedBytes } = session.channels;
      if (isClosed || isFull || except.has(session)) continue;
      const load = [isStalled || silentMs > SILENT_MS ? 1 : 0, size, carriedBytes];
      if (best === undefined || isLess(load, best.load)) best = { session, load };
    }
    return best?.session;
  }

  #describeShortage(): AppError {
    for (const { channels } of this.#sessions) {
      if (!channels.isClosed && channels.isFull) return new AppError("busy", "all streams to the host of this instance are in use");
    }
    return new AppError("host_offline", "the host of this instance is not connected; try again in a moment");
  }

  #waitForHost(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(new AppError("cancelled", "the stream is no longer wanted"));
      const settle = (error?: AppError) => {
        this.#waiting.delete(wake);
        timer[Symbol.dispose]();
        signal.removeEventListener("abort", abort);
        if (error === undefined) resolve();
        else reject(error);
      };
      const wake = () => settle();
      const abort = () => settle(new AppError("cancelled", "the stream is no longer wanted"));
      const timer = this.#clock.after(HOST_WAIT_MS, () =>
        settle(new AppError("host_offline", "the host of this instance is not connected; try again in a moment")),
      );
      this.#waiting.add(wake);
      signal.addEventListener("abort", abort, { once: true });
    });
  }
}

function isLess(a: readonly number[], b: readonly number[]): boolean {
  for (const [index, value] of a.entries()) {
    const other = b[index] ?? 0;
    if (value !== other) return value < other;
  }
  return false;
}
