import type { FilterPulse, ServiceTraffic } from "@hardshare/protocol";
import type { Socket } from "node:net";

const NOTHING = { in: 0, out: 0, blocked: 0 };

/**
 * How much went through one service of an instance: bytes as its connections carried them, and messages as its filter
 * counts them in its pulses, over all runs of its program.
 */
export class TrafficCounter {
  readonly #open = new Set<Socket>();
  readonly #closed = { in: 0, out: 0 };
  /** Messages of the runs before. */
  #before = NOTHING;
  #judged: FilterPulse["judged"] | undefined;

  /** Counts what this connection to the service carries, as long as it lives. */
  count(socket: Socket): void {
    this.#open.add(socket);
    socket.once("close", () => {
      this.#open.delete(socket);
      this.#closed.in += socket.bytesWritten;
      this.#closed.out += socket.bytesRead;
    });
  }

  onPulse({ judged }: FilterPulse): void {
    this.#judged = judged;
  }

  /** The program was started anew, and counts from nothing. */
  onRestart(): void {
    if (this.#judged === undefined) return;
    this.#before = add(this.#before, this.#judged);
    this.#judged = NOTHING;
  }

  get total(): Omit<ServiceTraffic, "service"> {
    const bytes = { ...this.#closed };
    for (const socket of this.#open) {
      bytes.in += socket.bytesWritten;
      bytes.out += socket.bytesRead;
    }
    return { bytes, ...(this.#judged === undefined ? {} : { messages: add(this.#before, this.#judged) }) };
  }
}

function add(a: FilterPulse["judged"], b: FilterPulse["judged"]): FilterPulse["judged"] {
  return { in: a.in + b.in, out: a.out + b.out, blocked: a.blocked + b.blocked };
}
