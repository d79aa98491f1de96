import type { Database, Delivery } from "@hardshare/db";
import { toAppError } from "@hardshare/protocol";
import type { Clock, Logger, Random } from "@hardshare/runtime";
import { Refresher } from "../../wake-ups/refresher.ts";
import { scopes } from "../../wake-ups/topics.ts";
import type { WakeUpRouter } from "../../wake-ups/wake-up-router.ts";

/** Attempts that run at the same time. */
const MAX_AT_ONCE = 32;
/** Longer than any attempt: afterwards whoever made it has died, and somebody else does. */
const LEASE_MS = 90_000;
/** Pause after the first attempt that failed; each further one waits twice as long. */
const RETRY_FIRST_MS = 5000;
const RETRY_MAX_MS = 3_600_000;
/** After so long it is given up: whoever hears of it later can do nothing with it. */
const GIVE_UP_MS = 24 * 3_600_000;
/** Pause after the store failed. */
const STORE_RETRY_MS = 1000;
/** See `DeadlinesJob`. */
const MAX_TIMER_MS = 30_000;
/** Of a reason that is stored. */
const MAX_PROBLEM_CHARS = 500;

interface DeliveriesDeps {
  database: Database;
  wakeUps: WakeUpRouter;
  clock: Clock;
  random: Random;
  logger: Logger;
  /** @throws Error why it did not arrive */
  deliver: (delivery: Delivery, signal: AbortSignal) => Promise<void>;
}

/**
 * Delivers alerts to the hooks of deployments: each until it arrived, with growing pauses, at least once. What waits is in the
 * store, so that a restart loses nothing; every replica runs this job, and takes what no other has taken.
 */
export class DeliveriesJob implements AsyncDisposable {
  readonly #deps: DeliveriesDeps;
  readonly #refresher: Refresher;
  readonly #subscription: Disposable;
  readonly #running = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  #timer: Disposable | undefined;

  constructor(deps: DeliveriesDeps) {
    this.#deps = deps;
    this.#refresher = new Refresher(
      () => this.#look(),
      (error) => {
        deps.logger.error("cannot look for alerts to deliver; trying again", { error });
        this.#arm(deps.clock.now() + STORE_RETRY_MS);
      },
    );
    this.#subscription = deps.wakeUps.subscribe(scopes.deliveries, () => this.#refresher.request(null));
    this.#refresher.request(null);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscription[Symbol.dispose]();
    this.#stop.abort();
    await this.#refresher.stop();
    this.#timer?.[Symbol.dispose]();
    await Promise.all(this.#running);
  }

  async #look(): Promise<void> {
    const { database, clock } = this.#deps;
    const limit = MAX_AT_ONCE - this.#running.size;
    if (limit === 0) return; // the next one that ends looks again
    const at = new Date(clock.now());
    const leaseUntil = new Date(at.getTime() + LEASE_MS);
    for (const delivery of await database.transaction((tx) => database.hooks.take(tx, { at, leaseUntil, limit }))) {
      const attempt = this.#attempt(delivery).finally(() => {
        this.#running.delete(attempt);
        this.#refresher.request(null);
      });
      this.#running.add(attempt);
    }
    const next = await database.transaction((tx) => database.hooks.nextAttempt(tx));
    this.#arm(next?.getTime());
  }

  /** Never rejects. */
  async #attempt(delivery: Delivery): Promise<void> {
    const { database, clock, logger, deliver } = this.#deps;
    const { id, hook } = delivery;
    const facts = { deploymentId: hook.deploymentId, kind: hook.kind, attempt: delivery.attempts };
    let problem: string | undefined;
    try {
      await deliver(delivery, this.#stop.signal);
    } catch (error) {
      problem = toAppError(error).message.slice(0, MAX_PROBLEM_CHARS);
    }
    const at = new Date(clock.now());
    const isStopped = problem !== undefined && this.#stop.signal.aborted;
    const nextAttemptAt = isStopped ? at : this.#nextAttempt(delivery, at);
    if (problem !== undefined && !isStopped)
      logger.warn(nextAttemptAt === null ? "an alert could not be delivered, and is given up" : "an alert could not be delivered yet", {
        ...facts,
        problem,
      });
    const result = problem === undefined ? ("delivered" as const) : { problem, nextAttemptAt };
    await database
      .transaction(async (tx) => {
        await database.hooks.settle(tx, { id, at, result });
        if (problem !== undefined) await database.wakeUps.notify(tx, scopes.deliveries); // every replica knows when it is due again
      })
      .catch((error: unknown) => logger.error("what became of an alert could not be recorded: it is delivered again", { ...facts, error }));
  }

  #nextAttempt({ createdAt, attempts }: Delivery, at: Date): Date | null {
    const pauseMs = Math.min(RETRY_FIRST_MS * 2 ** Math.min(attempts - 1, 20), RETRY_MAX_MS);
    const nextMs = at.getTime() + pauseMs * (0.8 + 0.4 * this.#deps.random.fraction());
    return nextMs - createdAt.getTime() > GIVE_UP_MS ? null : new Date(nextMs);
  }

  #arm(atMs: number | undefined): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    if (atMs === undefined || this.#stop.signal.aborted) return;
    const { clock } = this.#deps;
    this.#timer = clock.after(Math.min(Math.max(atMs - clock.now(), 0), MAX_TIMER_MS), () => this.#refresher.request(null));
  }
}
