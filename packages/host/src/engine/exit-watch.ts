import type { BackOff, Clock, Logger } from "@hardshare/runtime";
import type { ApiConnection } from "./api-connection.ts";
import { orAborted } from "./call-limits.ts";
import type { ContainerExit, Engine, LabelFilter } from "./engine.ts";
import { readJsonLines } from "./json-lines.ts";

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
  /** Whose containers these are. */
  engine: Pick<Engine, "listContainers" | "inspectContainer">;
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
 * that was seen, and then for the containers that run: an engine that was restarted may have forgotten its events.
 */
export class ExitWatch {
  readonly #options: ExitWatchOptions;
  readonly #ended = new AbortController();
  /** Wall times in milliseconds: from when on exits count, and of the last event seen; 0 for all once the clock was set back. */
  #startMs: number;
  #sinceMs: number;
  /** Labels of the containers that run, by id. */
  readonly #running = new Map<string, Readonly<Record<string, string>>>();

  constructor(options: ExitWatchOptions) {
    this.#options = options;
    this.#startMs = options.clock.now();
    this.#sinceMs = this.#startMs;
    for (const signal of options.signals) {
      if (signal.aborted) this.#ended.abort(signal.reason);
      signal.addEventListener("abort", () => this.#ended.abort(signal.reason), { once: true, signal: this.#ended.signal });
    }
  }

  /** Resolves when the first subscription is sent and it is known what runs; rejects, and watches no more, when that fails. */
  async start(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      let isSubscribed = false;
      const subscribed = () => {
        this.#lookAround().then(
          () => {
            isSubscribed = true;
            resolve();
          },
          (error: unknown) => {
            this.#ended.abort(error);
            reject(error);
          },
        );
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
        const missed = (error: unknown) => logger.warn("what ended while the engine's events were lost is not known", { error });
        await this.#follow(() => void this.#lookAround().catch(missed)).finally(() => {
          if (clock.monotonicMs() - startedAt > STEADY_MS) backOff.reset();
        });
      } catch (error) {
        if (signal.aborted) return;
        logger.warn("the container engine's events were lost; subscribing again", { error });
      }
    }
  }

  /** Tells of containers that ran and do so no more. */
  async #lookAround(): Promise<void> {
    const { engine, labels: wanted } = this.#options;
    const { signal } = this.#ended;
    const found = await engine.listContainers(wanted, { signal });
    const running = new Map(found.filter(({ isRunning }) => isRunning).map(({ id, labels }) => [id, labels]));
    for (const [id, labels] of this.#running) {
      if (running.has(id)) continue;
      const facts = await engine.inspectContainer(id, { signal }).catch(() => undefined); // removed, perhaps
      this.#tell({ id, labels, exitCode: facts?.exitCode });
    }
    for (const [id, labels] of running) this.#running.set(id, labels);
  }

  #tell(exit: ContainerExit): void {
    this.#running.delete(exit.id);
    this.#options.onExit(exit);
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
    for await (const event of readJsonLines<EventJson>(response)) this.#take(event);
  }

  #take(event: EventJson): void {
    this.#allowForClock();
    const action = event.Action ?? event.status;
    const { ID: id, Attributes: attributes = {} } = event.Actor ?? {};
    const timeMs = (event.timeNano ?? 0) / 1e6;
    if (timeMs > this.#sinceMs && action !== undefined) this.#sinceMs = timeMs;
    if (id === undefined || timeMs < this.#startMs) return;
    const isWanted = Object.entries(this.#options.labels).every(([name, value]) =>
      value === true ? name in attributes : attributes[name] === value,
    );
    if (!isWanted) return;
    const labels = Object.fromEntries(Object.entries(attributes).filter(([name]) => !NOT_LABELS.has(name)));
    if (action === "start") this.#running.set(id, labels);
    if (action !== "die" && action !== "died") return;
    const exitCode = Number.parseInt(attributes["containerExitCode"] ?? attributes["exitCode"] ?? "", 10);
    this.#tell({ id, labels, exitCode: Number.isNaN(exitCode) ? undefined : exitCode });
  }

  /** Events have the engine's wall time: once that was set back, later ones seem to be earlier. Rather all are told again. */
  #allowForClock(): void {
    const now = this.#options.clock.now();
    if (now < this.#startMs) this.#startMs = 0;
    if (now < this.#sinceMs) this.#sinceMs = 0;
  }
}
