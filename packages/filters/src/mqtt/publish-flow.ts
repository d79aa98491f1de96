import { Reason } from "./malformed.ts";
import type { FlowPacket, Qos } from "./packets.ts";

/** What a message waits for, and whether the filter itself answers its sender. */
interface Waiting {
  awaits: FlowPacket["cmd"];
  readonly isAnsweredHere: boolean;
}

/**
 * The messages with QoS 1 and 2 of one direction that are on their way (§4.3), by their packet identifiers. Only answers
 * that are awaited pass: none that somebody made up.
 */
export class PublishFlow {
  readonly #waiting = new Map<number, Waiting>();

  isOnItsWay(id: number): boolean {
    return this.#waiting.has(id);
  }

  /** The message passes. */
  pass(id: number, qos: Qos): void {
    if (qos > 0) this.#waiting.set(id, { awaits: qos === 1 ? "puback" : "pubrec", isAnsweredHere: false });
  }

  /** The filter said of a message with QoS 2 that it came, and drops it: its release is still to come. */
  awaitRelease(id: number): void {
    this.#waiting.set(id, { awaits: "pubrel", isAnsweredHere: true });
  }

  /** @returns whether an answer of the receiver goes on to the sender */
  takeAnswer({ cmd, id, reasonCode }: FlowPacket): boolean {
    const waiting = this.#waiting.get(id);
    if (waiting?.awaits !== cmd) return false;
    if (cmd === "pubrec" && reasonCode < Reason.UNSPECIFIED) waiting.awaits = "pubrel";
    else this.#waiting.delete(id);
    return true;
  }

  /** What becomes of a PUBREL: it goes on to the receiver, or the filter answers it. */
  takeRelease(id: number): "pass" | "answer" | "unknown" {
    const waiting = this.#waiting.get(id);
    if (waiting?.awaits !== "pubrel") return "unknown";
    if (waiting.isAnsweredHere) {
      this.#waiting.delete(id);
      return "answer";
    }
    waiting.awaits = "pubcomp";
    return "pass";
  }
}
