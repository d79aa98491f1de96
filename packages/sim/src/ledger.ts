import type { Clock } from "@hardshare/runtime";

/** One thing that passed between the world and the robot. */
export interface LedgerEntry {
  /** Counts from 1, without gaps. */
  readonly sequence: number;
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly channel: "http" | "serial" | "rosbridge";
  /** `act` changes something, `read` asks, `answer` is what the robot said on its serial line. */
  readonly kind: "act" | "read" | "answer";
  /** `POST /api/head`, `publish /cmd_vel`, or the first word of a serial line; of an answer the whole line; `malformed` for what is no request. */
  readonly action: string;
  /** Those that are longer than `MAX_ARGUMENTS_CHARS` as JSON are `{ text, truncated: true }`. */
  readonly arguments: Readonly<Record<string, unknown>>;
  /** HTTP status of the answer, once there is one. */
  readonly status?: number;
}

/** Longest text kept of an action. */
const MAX_ACTION_CHARS = 256;
/** Longest JSON text kept of arguments: with the number of entries it bounds the memory. */
export const MAX_ARGUMENTS_CHARS = 1024;

/**
 * All that reached the device, in order: the oracle of tests. When it is full, the oldest entries are dropped and
 * counted.
 */
export class Ledger {
  readonly #clock: Clock;
  readonly #limit: number;
  #entries: LedgerEntry[] = [];
  #sequence = 0;

  constructor(clock: Clock, limit: number) {
    this.#clock = clock;
    this.#limit = limit;
  }

  /** Writes an entry down; what it returns completes it with what is known later. */
  record(entry: Pick<LedgerEntry, "channel" | "kind" | "action"> & Partial<Pick<LedgerEntry, "arguments">>) {
    this.#sequence += 1;
    const sequence = this.#sequence;
    this.#entries.push({
      sequence,
      at: new Date(this.#clock.now()).toISOString(),
      channel: entry.channel,
      kind: entry.kind,
      action: entry.action.slice(0, MAX_ACTION_CHARS),
      arguments: shorten(entry.arguments ?? {}),
    });
    if (this.#entries.length > this.#limit) this.#entries.shift();
    return (later: Partial<Pick<LedgerEntry, "arguments" | "status">>): void => {
      const index = this.#entries.length - 1 - (this.#sequence - sequence);
      const current = this.#entries[index];
      if (current === undefined) return;
      this.#entries[index] = { ...current, ...later, ...(later.arguments && { arguments: shorten(later.arguments) }) };
    };
  }

  /** The entries after a sequence number, and how many of all have been dropped. */
  read(after = 0): { limit: number; dropped: number; entries: LedgerEntry[] } {
    const dropped = this.#sequence - this.#entries.length;
    return { limit: this.#limit, dropped, entries: this.#entries.slice(Math.max(0, after - dropped)) };
  }
}

function shorten(given: LedgerEntry["arguments"]): LedgerEntry["arguments"] {
  const text = JSON.stringify(given);
  return text.length <= MAX_ARGUMENTS_CHARS ? given : { text: text.slice(0, MAX_ARGUMENTS_CHARS), truncated: true };
}
