import type { EventEmitter } from "node:events";

/** Until disposed, calls `listener` on each such event. */
export function listenTo(emitter: EventEmitter, event: string, listener: () => void): Disposable {
  emitter.on(event, listener);
  return { [Symbol.dispose]: () => void emitter.off(event, listener) };
}
