import type { Deadline } from "./deadline.ts";
import { HeldBytes } from "./held-bytes.ts";
import type { RequestBody } from "./request-body.ts";

/** How long a client may take to send a body that is held until it is judged. */
const HOLD_TIMEOUT_MS = 60_000;
/** Most bytes that all connections of a filter hold together. */
const MAX_HELD_BYTES = 256 * 1024 ** 2;

/** The memory for what is held until it is judged. */
export class HeldMemory {
  #free = MAX_HELD_BYTES;

  /** @returns whether so much may be held besides what is */
  take(sizeBytes: number): boolean {
    if (sizeBytes > this.#free) return false;
    this.#free -= sizeBytes;
    return true;
  }

  give(sizeBytes: number): void {
    this.#free += sizeBytes;
  }
}

/** Why a body is not held to its end. */
export interface NotHeld {
  readonly status: 408 | 413 | 503;
  readonly because: string;
}

/** What holding a body takes. */
export interface HoldOptions {
  readonly limitBytes: number;
  readonly memory: HeldMemory;
  readonly deadline: Deadline;
}

/**
 * Holds a body until all of it is there. When it is not held to its end, what came of it is put back. Never settles when
 * the client leaves.
 */
export function holdBody(
  body: RequestBody,
  { limitBytes, memory, deadline }: HoldOptions,
  settle: (result: Buffer | NotHeld) => void,
): void {
  const held = new HeldBytes();
  const leave = () => {
    deadline.clear();
    memory.give(held.size);
  };
  const give = (status: NotHeld["status"], because: string, last?: Buffer) => {
    body.stop();
    if (last !== undefined) body.putBack(last);
    if (held.size > 0) body.putBack(held.all);
    leave();
    settle({ status, because });
  };
  deadline.set(HOLD_TIMEOUT_MS, () => give(408, `the body did not come within ${HOLD_TIMEOUT_MS / 1000} s`));
  body.start({
    take(chunk) {
      if (held.size + chunk.length > limitBytes) give(413, `the body is larger than ${limitBytes} bytes, the most that is judged`, chunk);
      else if (!memory.take(chunk.length)) give(503, "the filter holds as many bodies as it can: try again", chunk);
      else held.add(chunk);
    },
    end() {
      leave();
      settle(held.all);
    },
    leave,
  });
}
