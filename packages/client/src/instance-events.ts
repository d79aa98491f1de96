import { AppError, EVENTS_END, InstanceEvent, isFinalState, parseWith, type TimelineEvent } from "@hardshare/protocol";
import type { HttpConnection } from "./http-connection.ts";
import { readServerSentEvents } from "./server-sent-events.ts";

/** Milliseconds of silence after which a stream is taken for dead; servers send a comment more often than that. */
export const STREAM_SILENCE_MS = 45_000;
const FIRST_DELAY_MS = 250;
const LAST_DELAY_MS = 5_000;

export interface InstanceEventsOptions {
  /** Number of the last event already known; absent: from the beginning. */
  after?: number | undefined;
  /** Ends the iteration (without an error). */
  signal?: AbortSignal | undefined;
  /** Told when the stream broke and is opened again after `delayMs`. */
  onReconnect?: ((problem: AppError, delayMs: number) => void) | undefined;
}

/**
 * The timeline of an instance as it happens, from its beginning, until its last state or the server says that it is over. Opens the stream again after the
 * last event seen when it breaks, so that no event is lost or told twice.
 * @throws AppError what the server refuses for good (unknown instance, wrong token)
 */
export async function* followInstance(
  connection: HttpConnection,
  instanceId: string,
  options: InstanceEventsOptions = {},
): AsyncGenerator<TimelineEvent> {
  const { signal, onReconnect } = options;
  let after = options.after;
  let delayMs = FIRST_DELAY_MS;
  for (;;) {
    if (signal?.aborted) return;
    let problem = new AppError("connection_lost", "the server closed the stream of events");
    try {
      for await (const event of readOnce(connection, instanceId, after, signal)) {
        if (event === "end") return;
        if (after !== undefined && event.id <= after) continue;
        after = event.id;
        delayMs = FIRST_DELAY_MS;
        yield event;
        if (event.kind === "state" && isFinalState(event.data["state"])) return;
      }
    } catch (error) {
      if (signal?.aborted) return;
      if (error instanceof AppError && !error.shouldRetry()) throw error;
      problem = error instanceof AppError ? error : new AppError("connection_lost", "the stream of events broke", { cause: error });
    }
    onReconnect?.(problem, delayMs);
    await pause(delayMs, signal);
    delayMs = Math.min(LAST_DELAY_MS, delayMs * 2);
  }
}

/** The events of one stream; `end` when the server says that no more will come. */
async function* readOnce(
  connection: HttpConnection,
  instanceId: string,
  after: number | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<TimelineEvent | "end"> {
  const silence = new AbortController();
  const watch = new SilenceWatch(() => silence.abort(new AppError("connection_lost", "the stream of events fell silent")));
  const both = signal ? AbortSignal.any([signal, silence.signal]) : silence.signal;
  try {
    const answer = await connection.open("GET", `/instance/${instanceId}/events`, {
      headers: { accept: "text/event-stream", ...(after === undefined ? {} : { "last-event-id": String(after) }) },
      signal: both,
    });
    for await (const event of readServerSentEvents(watch.through(answer.body))) {
      yield event.type === EVENTS_END ? "end" : readEvent(event.data);
    }
  } finally {
    watch.stop();
    silence.abort();
  }
}

function readEvent(data: string): TimelineEvent {
  let parsed: unknown;
  try {
    parsed = JSON.parse(data);
  } catch (cause) {
    throw new AppError("protocol_violation", "the server sent an event that is no JSON; look whether its version fits this one's", {
      cause,
    });
  }
  return parseWith(InstanceEvent, parsed, "event of the server", "protocol_violation");
}

class SilenceWatch {
  readonly #onSilence: () => void;
  #timer: ReturnType<typeof setTimeout>;

  constructor(onSilence: () => void) {
    this.#onSilence = onSilence;
    this.#timer = setTimeout(onSilence, STREAM_SILENCE_MS);
  }

  async *through(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      clearTimeout(this.#timer);
      yield chunk;
      this.#timer = setTimeout(this.#onSilence, STREAM_SILENCE_MS);
    }
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done, { once: true });
  });
}
