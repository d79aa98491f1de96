import type { ServerResponse } from "node:http";
import type { Database, StoredEvent } from "@hardshare/db";
import { EVENTS_END, InstanceEvent, type InstanceId, isFinalState } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import { scopes } from "../../wake-ups/topics.ts";
import type { WakeUpRouter } from "../../wake-ups/wake-up-router.ts";

/** A comment is sent after so much silence, so that proxies and clients see that the stream lives. */
const KEEP_ALIVE_MS = 15_000;
/** Events read and written at once: the most that is held in memory for one reader. */
const EVENTS_AT_ONCE = 100;
/** A reader who takes nothing for so long is dropped; it comes back with `Last-Event-ID`. */
const SLOW_READER_MS = 30_000;

/** Tells a reader that nothing more will come, also one who had seen all before (protocol's `EVENTS_END`). */
const END_OF_EVENTS = `event: ${EVENTS_END}\ndata: {}\n\n`;

/**
 * Writes an instance's events as server-sent events (WHATWG HTML §9.2): those after `afterId`, then new ones as they are
 * committed, until the final state, and then the end. Resolves when all is written or the reader is gone.
 */
export async function streamInstanceEvents(
  deps: { database: Database; wakeUps: WakeUpRouter; clock: Clock },
  stream: { instanceId: InstanceId; afterId: number; response: ServerResponse },
): Promise<void> {
  const { database, clock } = deps;
  const { instanceId, response } = stream;
  let { afterId } = stream;
  const bell = new Bell();
  using _subscription = deps.wakeUps.subscribe(scopes.instance(instanceId), () => bell.ring());
  const onClose = () => bell.ring();
  response.once("close", onClose);
  try {
    while (!response.destroyed) {
      const heard = bell.next(); // taken before looking, so that nothing that happens meanwhile is missed
      const { events, isFinal } = await deps.wakeUps.look(() => database.transaction((tx) => look(database, tx, instanceId, afterId)));
      for (const event of events) afterId = event.id;
      if (events.length > 0 && !(await write(clock, response, events.map(frameOf).join("")))) return;
      if (events.length === EVENTS_AT_ONCE) continue;
      if (isFinal) return void (await write(clock, response, END_OF_EVENTS));
      using _keepAlive = clock.after(KEEP_ALIVE_MS, () => bell.ring("silence"));
      if ((await heard) === "silence" && !(await write(clock, response, ": keep-alive\n\n"))) return;
    }
  } finally {
    response.off("close", onClose);
    response.end();
  }
}

async function look(
  database: Database,
  tx: Parameters<Parameters<Database["transaction"]>[0]>[0],
  instanceId: InstanceId,
  afterId: number,
): Promise<{ events: StoredEvent[]; isFinal: boolean }> {
  // The state first: what came with a final one is then among the events.
  const state = await database.instances.stateOf(tx, instanceId);
  const events = await database.events.listOfInstance(tx, { instanceId, afterId, limit: EVENTS_AT_ONCE });
  return { events, isFinal: state === null || isFinalState(state) };
}

function frameOf(event: StoredEvent): string {
  const shown = InstanceEvent.parse({ id: event.id, at: event.at.toISOString(), kind: event.kind, data: event.data });
  return `id: ${event.id}\ndata: ${JSON.stringify(shown)}\n\n`;
}

/** @returns false when the reader is gone or was dropped for being slow */
async function write(clock: Clock, response: ServerResponse, text: string): Promise<boolean> {
  if (response.destroyed) return false;
  if (response.write(text)) return true;
  using _timer = clock.after(SLOW_READER_MS, () => response.destroy());
  await new Promise<void>((resolve) => {
    const settle = () => {
      response.off("drain", settle);
      response.off("close", settle);
      resolve();
    };
    response.once("drain", settle);
    response.once("close", settle);
  });
  return !response.destroyed;
}

type Ring = "news" | "silence";

/** Rings are not counted: however many come before `next` is taken again, one is enough to look. */
class Bell {
  #resolve: ((why: Ring) => void) | undefined;

  /** Settles at the next ring. */
  next(): Promise<Ring> {
    return new Promise((resolve) => (this.#resolve = resolve));
  }

  ring(why: Ring = "news"): void {
    this.#resolve?.(why);
  }
}
