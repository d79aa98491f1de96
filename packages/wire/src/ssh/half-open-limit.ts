import { sourceOf } from "./source.ts";

/** Connections of one source that may wait for their login at the same time: a site's hosts, redialling after a restart of the hub. */
export const MAX_HALF_OPEN_PER_SOURCE = 128;
/** Connections that may wait for their login at the same time. */
export const MAX_HALF_OPEN = 1024;

interface HalfOpen {
  cut(): void;
}

/** Limits connections that have not said who they are, in all and for each source (see `sourceOf`). */
export class HalfOpenLimit {
  readonly #perSource: number;
  readonly #total: number;
  /** The oldest first. */
  readonly #bySource = new Map<string, Set<HalfOpen>>();
  #count = 0;

  constructor({ perSource, total } = { perSource: MAX_HALF_OPEN_PER_SOURCE, total: MAX_HALF_OPEN }) {
    this.#perSource = perSource;
    this.#total = total;
  }

  /**
   * When all places are taken, the oldest connection of the source that has most of them makes room: strangers with many
   * addresses can't keep others out.
   * @param cut ends the connection
   * @returns a function to call when the connection has logged in or closed, or undefined when its source has too many
   */
  admit(address: string, cut: () => void): (() => void) | undefined {
    const source = sourceOf(address);
    if ((this.#bySource.get(source)?.size ?? 0) >= this.#perSource) return undefined;
    if (this.#count >= this.#total) this.#makeRoom();
    const connection: HalfOpen = { cut };
    this.#bySource.set(source, (this.#bySource.get(source) ?? new Set()).add(connection));
    this.#count += 1;
    return () => this.#release(source, connection);
  }

  #makeRoom(): void {
    const [most] = [...this.#bySource].toSorted(([, a], [, b]) => b.size - a.size);
    if (most === undefined) return;
    const [source, [oldest]] = most;
    if (oldest === undefined) return;
    this.#release(source, oldest);
    oldest.cut();
  }

  #release(source: string, connection: HalfOpen): void {
    const connections = this.#bySource.get(source);
    if (!connections?.delete(connection)) return;
    this.#count -= 1;
    if (connections.size === 0) this.#bySource.delete(source);
  }
}
