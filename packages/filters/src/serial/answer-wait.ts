import type { LinePattern } from "../rules/line-pattern.ts";
import { type SerialFraming, SerialFramer } from "./framer.ts";

/**
 * Whether the device owes the answer to a message. Firmware on a plain UART drops what does not fit its receive buffer, in
 * the middle of a line, and goes on reading in the middle of another one: none of both was judged. With one message at a
 * time there is always room.
 */
export class AnswerWait {
  #framer: SerialFramer | undefined;
  #isOwed = false;

  get isOwed(): boolean {
    return this.#isOwed;
  }

  /** A message was written. */
  owe(): void {
    this.#isOwed = true;
  }

  /**
   * Takes what the device says.
   * @param framing of what it says: the same object for as long as the same is in force
   * @returns whether the answer was among it
   */
  hear(bytes: Buffer, pattern: LinePattern, framing: SerialFraming): boolean {
    if (this.#framer?.framing !== framing) this.#framer = new SerialFramer(framing);
    this.#framer.push(bytes);
    let isGiven = false;
    for (let piece = this.#framer.next(); piece !== undefined; piece = this.#framer.next()) {
      if (piece.kind === "message" && pattern.match(piece.text) !== undefined) isGiven = true;
    }
    if (isGiven) this.#isOwed = false;
    return isGiven;
  }

  /**
   * The device is gone, or what was written was dropped, perhaps also the message that is owed an answer: nobody can tell. If
   * it comes all the same it counts for the next message, so that one more is on its way.
   */
  forget(): void {
    this.#isOwed = false;
    this.#framer = undefined;
  }
}
