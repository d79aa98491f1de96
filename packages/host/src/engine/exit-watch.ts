import type { BackOff, Clock, Logger } from "@hardshare/runtime";
import type { ApiConnection } from "./api-connection.ts";
import { orAborted } from "./call-limits.ts";
import type { ContainerExit, LabelFilter } from "./engine.ts";

/** Longest event that is understood; an event carries the container's labels. */
const MAX_EVENT_BYTES = 256 * 1024;
/** A subscription that stood for so long is renewed without delay; the engine may accept, and end, any number of them at once. */
const STEADY_MS = 10_000;
/** What podman adds to a container's labels in the attributes of an event. */
const NOT_LABELS = new Set(["containerExitCode", "exitCode", "image", "name", "podId", "execDuration"]);

interface ExitWatchOptions {
  api: ApiConnection;
  clock: Clock;
  backOff: BackOff;
  logger: Logger;
  labels: LabelFilter;
  onExit: (exit: ContainerExit) => void;
  /** Any of them ends the watch. */
  signals: readonly AbortSignal[];
}

interface EventJson {
  Action?: string;
  status?: string;
  timeNano?: number;
  Actor?: { ID?: string; Attributes?: Record<string, string> };
}

/**
 * The stream of the engine's events, renewed when it is lost. Each subscription asks for the events since the last one
 * that was seen, so nothing that happens in between is left out.
 */
export class ExitWatch {
  readonly #options: ExitWatchOptions;
  readonly #ended = new AbortController();
  /** Wall times in milliseconds: from when on exits count, and of the last event seen; 0 for all once the clock was set back. */
  #startMs: number;
  #sinceMs: number;

  constructor(options: ExitWatchOptions) {
    this.#options = options;
    this.#startMs = options.clock.now();
    this.#sinceMs = this.#startMs;
    for (const signal of options.signals) {
      if (signal.aborted) this.#ended.abort(signal.reason);
      signal.addEventListener("abort", () => this.#ended.abort(signal.reason), { once: true, signal: this.#ended.signal });
    }
  }

  /** Resolves when the first subscription is sent; rejects, and watches no more, when that fails. */
  async start(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      let isSubscribed = false;
      const subscribed = () => {
        isSubscribed = true;
        resolve();
      };
      void this.#follow(subscribed)
        .catch((error: unknown) => {
          if (isSubscribed) return;
          this.#ended.abort(error);
          reject(error);
        })
        .then(() => this.#renew());
    });
  }

  async #renew(): Promise<void> {
    const { backOff, clock, logger } = this.#options;
    const { signal } = this.#ended;
    while (!signal.aborted) {
      try {
        await orAborted(new Promise<void>((resolve) => void clock.after(backOff.nextMs(), resolve)), signal);
        const startedAt = clock.monotonicMs();
        await this.#follow(() => {}).finally(() => {
          if (clock.monotonicMs() - startedAt > STEADY_MS) backOff.reset();
        });
      } catch (error) {
        if (signal.aborted) return;
        logger.warn("the container engine's events were lost; subscribing again", { error });
      }
    }
  }

  async #follow(onSubscribed: () => void): Promise<void> {
    const { api, labels } = this.#options;
    this.#allowForClock();
    const withValues = Object.entries(labels).filter(([, value]) => value !== true);
    const response = await api.open(
      {
        method: "GET",
        path: "/events",
        query: {
          since: String(Math.floor(this.#sinceMs / 1000)),
          filters: JSON.stringify({ type: ["container"], label: withValues.map(([name, value]) => `${name}=${value}`) }),
        },
        doing: "tell its events",
      },
      this.#ended.signal,
      // podman sends the reply's head with the first event only, so the subscription counts once it is sent;
      // `since` covers what happens until the engine has read it
      onSubscribed,
    );
    let rest = "";
    response.setEncoding("utf8");
    for await (const chunk of response as AsyncIterable<string>) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      if (rest.length > MAX_EVENT_BYTES) throw new Error(`an event is longer than ${MAX_EVENT_BYTES} bytes`);
      for (const line of lines) this.#take(line);
    }
  }

  #take(line: string): void {
    if (line.trim() === "") return;
    this.#allowForClock();
    const event = JSON.parse(line) as EventJson;
    const action = event.Action ?? event.status;
    const { ID: id, Attributes: attributes = {} } = event.Actor ?? {};
    const timeMs = (event.timeNano ?? 0) / 1e6;
    if (timeMs > this.#sinceMs && action !== undefined) this.#sinceMs = timeMs;
    if ((action !== "die" && action !== "died") || id === undefined || timeMs < this.#startMs) return;
    const isWanted = Object.entries(this.#options.labels).every(([name, value]) =>
      value === true ? name in attributes : attributes[name] === value,
    );
    if (!isWanted) return;
    const exitCode = Number.parseInt(attributes["containerExitCode"] ?? attributes["exitCode"] ?? "", 10);
    const labels = Object.fromEntries(Object.entries(attributes).filter(([name]) => !NOT_LABELS.has(name)));
    this.#options.onExit({ id, labels, exitCode: Number.isNaN(exitCode) ? undefined : exitCode });
  }

  /** Events have the engine's wall time: once that was set back, later ones seem to be earlier. Rather all are told again. */
  #allowForClock(): void {
    const now = this.#options.clock.now();
    if (now < this.#startMs) this.#startMs = 0;
    if (now < this.#sinceMs) this.#sinceMs = 0;
  }
}
