import { AppError } from "@hardshare/protocol";
import type { MessageSocket } from "@hardshare/wire";
import type { SeededRandom } from "./seeded-random.ts";
import type { Computer, SimulatedProcess } from "./simulated-process.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** How long an attempt to connect waits for an answer. */
const CONNECT_TIMEOUT_MS = 10_000;
const PONG = "\u0000pong";
const PING = "\u0000ping";

/** One end of a connection. */
export interface SimulatedSocket extends MessageSocket {
  /** What stood in the URL after the address. */
  readonly path: string;
  ping(): Promise<true>;
}

interface Listener {
  process: SimulatedProcess;
  onConnection: (socket: SimulatedSocket, from: Computer) => void;
}

/** How messages travel. */
export interface Weather {
  /** Longest time on the way, in milliseconds; most take far less. */
  maxLatencyMs: number;
  /** Probability that a message within a connection is lost, or comes twice: worse than TCP, and nothing may break by it. */
  loss: number;
  duplication: number;
}

export const FAIR: Weather = { maxLatencyMs: 20, loss: 0, duplication: 0 };

/**
 * Connections between processes that carry texts in order, as TCP would: they wait while a line is cut, and the end of
 * a process reaches the other side as soon as the line lets it. A computer that loses its power says nothing.
 */
export class SimulatedNetwork {
  weather: Weather = FAIR;
  /** Called with each message that is sent, for the trace. */
  onSend: (from: SimulatedProcess, to: SimulatedProcess, text: string) => void = () => {};
  readonly #time: VirtualTime;
  readonly #random: SeededRandom;
  readonly #listeners = new Map<string, Listener[]>();
  readonly #cuts = new Set<string>();
  readonly #halves = new Set<Half>();

  constructor(time: VirtualTime, random: SeededRandom) {
    this.#time = time;
    this.#random = random;
  }

  /** Accepts connections to an address until the process ends. Several may listen at one address, as behind a load balancer. */
  listen(address: string, process: SimulatedProcess, onConnection: Listener["onConnection"]): void {
    const listener = { process, onConnection };
    this.#listeners.set(address, [...this.#at(address), listener]);
    process.onEnd(() =>
      this.#listeners.set(
        address,
        this.#at(address).filter((other) => other !== listener),
      ),
    );
  }

  /** @throws AppError `server_unreachable` */
  async connect(process: SimulatedProcess, url: string, signal: AbortSignal): Promise<SimulatedSocket> {
    const [address, path] = splitUrl(url);
    const refuse = (why: string) => new AppError("server_unreachable", `cannot connect to ${address}: ${why}`);
    await process.pass(this.#latency());
    const listeners = this.#at(address);
    const listener = listeners.length === 0 ? undefined : this.#random.pick(listeners);
    if (listener === undefined || signal.aborted) throw refuse("refused");
    if (this.isCut(process.computer, listener.process.computer)) {
      await process.pass(CONNECT_TIMEOUT_MS);
      throw refuse("no answer");
    }
    const [near, far] = [new Half(process), new Half(listener.process)];
    near.other = far;
    far.other = near;
    for (const half of [near, far]) {
      this.#halves.add(half);
      half.process.onEnd(() => this.#end(half, "the process ended"));
    }
    this.#time.after(this.#latency(), () =>
      listener.process.deliver(() => listener.onConnection(this.#socket(far, path), process.computer)),
    );
    await process.pass(2 * this.#latency());
    return this.#socket(near, path);
  }

  /** Cuts the line between two computers: nothing passes, and nobody is told. */
  cut(a: Computer, b: Computer): void {
    this.#cuts.add(lineOf(a, b));
  }

  /** Mends a line: what waited goes on. */
  mend(a: Computer, b: Computer): void {
    this.#cuts.delete(lineOf(a, b));
    for (const half of this.#halves) this.#flush(half);
  }

  /** Mends all lines. */
  mendAll(): void {
    this.#cuts.clear();
    for (const half of this.#halves) this.#flush(half);
  }

  isCut(a: Computer, b: Computer): boolean {
    return this.#cuts.has(lineOf(a, b));
  }

  /** The connections of a computer are gone without a word, as by a loss of power. */
  forget(computer: Computer): void {
    for (const half of this.#halves) {
      if (half.process.computer !== computer) continue;
      half.isOpen = false;
      half.isSilent = true;
      half.waiting.length = 0;
      this.#halves.delete(half);
    }
  }

  #at(address: string): Listener[] {
    return this.#listeners.get(address) ?? [];
  }

  #latency(): number {
    return this.#random.fraction() ** 3 * this.weather.maxLatencyMs + 0.1;
  }

  #socket(half: Half, path: string): SimulatedSocket {
    return {
      path,
      send: (text) => this.#send(half, text),
      bufferedBytes: () => half.waiting.length * 100,
      bytesRead: () => half.bytesRead,
      pause: () => void (half.isPaused = true),
      resume: () => {
        half.isPaused = false;
        half.drain();
      },
      close: (reason) => this.#end(half, reason),
      destroy: () => this.#end(half, "cut"),
      listen: (listener) => {
        half.listener = listener;
        half.drain();
      },
      ping: () =>
        new Promise((resolve) => {
          half.pongs.push(() => resolve(true));
          this.#send(half, PING);
        }),
    };
  }

  #send(half: Half, text: string): void {
    if (!half.isOpen) return;
    if (half.other !== undefined) this.onSend(half.process, half.other.process, text);
    const { loss, duplication } = this.weather;
    if (loss > 0 && this.#random.chance(loss)) return;
    half.waiting.push(text);
    if (duplication > 0 && this.#random.chance(duplication)) half.waiting.push(text);
    this.#flush(half);
  }

  /** Ends one side; the other hears of it when all that was sent before has arrived. */
  #end(half: Half, reason: string): void {
    if (!half.isOpen) return;
    half.isOpen = false;
    if (half.process.isAlive) half.process.deliver(() => half.close(reason));
    half.goodbye = reason;
    this.#flush(half);
  }

  /** Sends on its way what the line lets pass. */
  #flush(half: Half): void {
    const { other } = half;
    if (other === undefined || this.isCut(half.process.computer, other.process.computer)) return;
    for (const text of half.waiting.splice(0)) {
      this.#deliver(half, () => {
        if (!other.isOpen) return;
        other.bytesRead += text.length;
        if (text === PING) this.#send(other, PONG);
        else if (text === PONG) other.pongs.splice(0).forEach((pong) => pong());
        else other.receive(text);
      });
    }
    if (half.goodbye === undefined || half.isSilent) return;
    const reason = half.goodbye;
    half.goodbye = undefined;
    this.#deliver(half, () => {
      this.#halves.delete(half);
      this.#halves.delete(other);
      if (!other.isOpen) return;
      other.isOpen = false;
      other.close(reason);
    });
  }

  #deliver(half: Half, arrive: () => void): void {
    const atMs = Math.max(half.lastArrivalMs, this.#time.nowMs + this.#latency());
    half.lastArrivalMs = atMs;
    this.#time.after(atMs - this.#time.nowMs, () => half.other?.process.deliver(arrive));
  }
}

/** `ws://name/path` is the address `ws://name` and `/path`; all else is an address. */
function splitUrl(url: string): [address: string, path: string] {
  const slash = url.startsWith("ws://") ? url.indexOf("/", "ws://".length) : -1;
  return slash < 0 ? [url, ""] : [url.slice(0, slash), url.slice(slash)];
}

function lineOf(a: Computer, b: Computer): string {
  return [a.name, b.name].toSorted().join(" ");
}

/** One side of a connection. */
class Half {
  readonly process: SimulatedProcess;
  other: Half | undefined;
  isOpen = true;
  /** Lost with its computer: it never says goodbye. */
  isSilent = false;
  isPaused = false;
  bytesRead = 0;
  /** Sent, and held up by a cut line. */
  readonly waiting: string[] = [];
  goodbye: string | undefined;
  lastArrivalMs = 0;
  readonly pongs: (() => void)[] = [];
  listener: Parameters<MessageSocket["listen"]>[0] | undefined;
  readonly #received: string[] = [];
  #closeReason: string | undefined;

  constructor(process: SimulatedProcess) {
    this.process = process;
  }

  receive(text: string): void {
    this.#received.push(text);
    this.drain();
  }

  close(reason: string): void {
    this.#closeReason ??= reason;
    this.drain();
  }

  drain(): void {
    if (this.listener === undefined) return;
    while (!this.isPaused && this.#received.length > 0) this.listener.onText(this.#received.shift() ?? "");
    if (this.#closeReason === undefined || this.#received.length > 0) return;
    const reason = this.#closeReason;
    const { listener } = this;
    this.listener = { onText: () => {}, onClose: () => {} };
    listener.onClose(reason);
  }
}
