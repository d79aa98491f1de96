import { Malformed, Reason } from "./malformed.ts";
import type { SubscriptionAnswer } from "./packets.ts";

/** An answer as far as the filter gives it: undefined where the broker's is awaited. */
type Codes = readonly (number | undefined)[];

/** SUBSCRIBEs and UNSUBSCRIBEs that wait for the broker's answer, which is put together with the filter's. */
export class SubscriptionRequests {
  readonly #waiting = new Map<number, { cmd: SubscriptionAnswer["cmd"]; codes: Codes }>();

  isWaiting(id: number): boolean {
    return this.#waiting.has(id);
  }

  add(id: number, cmd: SubscriptionAnswer["cmd"], codes: Codes): void {
    this.#waiting.set(id, { cmd, codes });
  }

  /** The whole answer. @throws Malformed: the broker's answers nothing, or not all of it */
  complete({ cmd, id, codes: given }: SubscriptionAnswer): readonly number[] {
    const request = this.#waiting.get(id);
    if (request?.cmd !== cmd) throw new Malformed(`a ${cmd.toUpperCase()} answers nothing`, Reason.PROTOCOL_ERROR);
    this.#waiting.delete(id);
    const left = [...given];
    if (left.length === 0) return []; // an UNSUBACK of version 3.1.1
    const codes = request.codes.map((code) => code ?? left.shift());
    if (left.length > 0 || codes.includes(undefined)) {
      throw new Malformed(`a ${cmd.toUpperCase()} does not answer what was asked`, Reason.PROTOCOL_ERROR);
    }
    return codes as number[];
  }
}
