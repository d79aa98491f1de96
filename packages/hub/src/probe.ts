import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { AppError, type Probe, toAppError } from "@hardshare/protocol";
import { BackOff, type Clock, Deferred, pause, type Random } from "@hardshare/runtime";
import { cut } from "@hardshare/runtime/sockets";

/** Longest time for one attempt. */
const ATTEMPT_TIMEOUT_MS = 10_000;
/** Delays between attempts, while the host stays connected. */
const RETRY_FIRST_MS = 100;
const RETRY_MAX_MS = 2000;
/** Longest text that may come before the banner (RFC 4253, section 4.2, allows lines before it). */
const MAX_BANNER_BYTES = 8192;

/** What probing goes through. */
interface ProbedWay {
  /** Where to connect to come in like a user, or null when there is no public port. */
  publicAddress(): { host: string; port: number } | null;
  /** Opens a stream as for a jump user. */
  open(signal: AbortSignal): Promise<Duplex>;
}

export interface ProberOptions {
  kind: Probe;
  way: ProbedWay;
  onProbed(): void;
  onFailure(error: AppError): void;
  clock: Clock;
  random: Random;
}

/** Proves that an endpoint works, by a connection that makes the whole public way and is closed at once. */
export class Prober {
  readonly #options: ProberOptions;
  #current: AbortController | undefined;
  /** The connection that is being made to the hub's own public port, and whether its stream is open. */
  #knock: { socket: Socket; isConnected: Promise<unknown>; opened: Deferred } | undefined;

  constructor(options: ProberOptions) {
    this.#options = options;
  }

  /** Probes until it succeeds or `stop` is called. */
  start(): void {
    this.stop();
    const current = new AbortController();
    this.#current = current;
    void this.#probeUntilDone(current.signal);
  }

  stop(): void {
    this.#current?.abort(new AppError("cancelled", "the probe is no longer wanted"));
    this.#current = undefined;
  }

  /**
   * Whether a connection that came in is the probe's own, which no firewall stops.
   * @returns a function to call when its stream is open
   */
  async recognize(socket: Socket): Promise<(() => void) | undefined> {
    const knock = this.#knock;
    if (knock === undefined) return undefined;
    await knock.isConnected; // only then does it have an address
    const isOurs = knock.socket.localPort === socket.remotePort && knock.socket.localAddress === plain(socket.remoteAddress);
    return isOurs ? () => knock.opened.resolve() : undefined;
  }

  async #probeUntilDone(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    const backOff = new BackOff({ firstMs: RETRY_FIRST_MS, maxMs: RETRY_MAX_MS, random });
    while (!signal.aborted) {
      try {
        await this.#probe(signal);
        if (!signal.aborted) this.#options.onProbed();
        return;
      } catch (error) {
        if (signal.aborted) return;
        this.#options.onFailure(toAppError(error));
      }
      await pause(clock, backOff.nextMs(), signal);
    }
  }

  async #probe(signal: AbortSignal): Promise<void> {
    const { kind, clock } = this.#options;
    if (kind === "none") return;
    // Not `AbortSignal.any`, whose followers a signal that lives long keeps in Node 20.
    const attempt = new AbortController();
    const stop = () => attempt.abort(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    using _timer = clock.after(ATTEMPT_TIMEOUT_MS, () =>
      attempt.abort(new AppError("timed_out", `nothing came through the tunnel within ${ATTEMPT_TIMEOUT_MS / 1000} s`)),
    );
    try {
      await this.#comeThrough(attempt.signal);
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  async #comeThrough(signal: AbortSignal): Promise<void> {
    const { kind, way } = this.#options;
    const address = way.publicAddress();
    const stream = address === null ? await way.open(signal) : await this.#enter(address, signal);
    const abort = () => cut(stream);
    signal.addEventListener("abort", abort, { once: true });
    try {
      if (kind === "banner") await readBanner(stream);
    } catch (error) {
      throw signal.aborted ? signal.reason : error;
    } finally {
      signal.removeEventListener("abort", abort);
      cut(stream);
    }
  }

  /** Comes in through the public port, as a user does; resolves when the stream to the host is open. */
  async #enter(address: { host: string; port: number }, signal: AbortSignal): Promise<Socket> {
    const socket = connect(address);
    const opened = new Deferred();
    const connected = once(socket, "connect", { signal });
    const knock = { socket, isConnected: connected.catch(() => {}), opened };
    this.#knock = knock;
    socket.on("error", () => {});
    socket.once("close", () => opened.reject(new AppError("connection_lost", "the hub's own connection to its public port was closed")));
    opened.promise.catch(() => {}); // it is also closed after success
    const abort = () => socket.destroy();
    signal.addEventListener("abort", abort, { once: true });
    try {
      await connected;
      await opened.promise;
      return socket;
    } catch (error) {
      socket.destroy();
      throw signal.aborted ? signal.reason : error;
    } finally {
      signal.removeEventListener("abort", abort);
      if (this.#knock === knock) this.#knock = undefined; // a probe that began meanwhile keeps its own
    }
  }
}

/** @throws AppError `connection_lost` when the stream ends, or something else comes */
async function readBanner(stream: Duplex): Promise<void> {
  let text = "";
  for await (const chunk of stream) {
    text += (chunk as Buffer).toString("latin1");
    if (/^SSH-/m.test(text)) return;
    if (text.length > MAX_BANNER_BYTES) break;
  }
  throw new AppError(
    "connection_lost",
    text === "" ? "the tunnel closed before an SSH banner came" : "what answers in the tunnel is no SSH server",
  );
}

/** IPv4 addresses as such, also on a socket that listens for both. */
function plain(address: string | undefined): string | undefined {
  return address?.replace(/^::ffff:(?=\d+\.)/i, "");
}
