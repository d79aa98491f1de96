import type { Database, EndingInstance, Instance } from "@hardshare/db";
import type { InstanceId } from "@hardshare/protocol";
import type { Clock, Logger, Random } from "@hardshare/runtime";
import { raiseAlert } from "../features/hooks/tell-hooks.ts";
import { applyLifecycleEvent } from "../features/instances/instance-changes.ts";
import { announceDeployment, scopes } from "../wake-ups/topics.ts";
import type { WakeUpRouter } from "../wake-ups/wake-up-router.ts";
import { Refresher } from "../wake-ups/refresher.ts";
import { giveUpAtMs } from "./silent-hosts.ts";

/** Overdue instances that are read at once. */
const BATCH = 100;
/** Pause before what failed is tried again. */
const RETRY_MS = 1000;
/** Timers do not notice that the wall clock jumped or that the machine slept, and nothing tells: so long it may take to be seen. */
const MAX_TIMER_MS = 30_000;

export interface DeadlinesDeps {
  database: Database;
  wakeUps: WakeUpRouter;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/**
 * Ends what is overdue: instances in INIT or READY at their deadline, and TERMINATING ones whose host does not say that
 * it let go. One timer for the nearest time, set anew when something changed. Every replica runs it; each change is a
 * compare-and-set, so that one of them wins.
 */
export class DeadlinesJob implements AsyncDisposable {
  readonly #deps: DeadlinesDeps;
  readonly #startedAtMs: number;
  readonly #refresher: Refresher;
  readonly #subscription: Disposable;
  #timer: Disposable | undefined;

  constructor(deps: DeadlinesDeps) {
    this.#deps = deps;
    this.#startedAtMs = deps.clock.now();
    this.#refresher = new Refresher(
      () => this.#look(),
      (error) => {
        deps.logger.error("cannot look at the deadlines; trying again", { error });
        this.#arm(deps.clock.now() + RETRY_MS);
      },
    );
    this.#subscription = deps.wakeUps.subscribe(scopes.deadlines, () => this.#refresher.request(null));
    this.#refresher.request(null);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscription[Symbol.dispose]();
    await this.#refresher.stop();
    this.#timer?.[Symbol.dispose]();
  }

  async #look(): Promise<void> {
    const { database, clock } = this.#deps;
    let isAllDone = true;
    let overdue: Instance[];
    do {
      overdue = await database.transaction((tx) => database.instances.listOverdue(tx, { at: new Date(clock.now()), limit: BATCH }));
      for (const { id } of overdue) if (!(await this.#attempt(id, () => this.#expire(id)))) isAllDone = false;
    } while (overdue.length === BATCH && isAllDone);
    const ending = await database.transaction((tx) => database.instances.listEnding(tx));
    const times: number[] = [];
    for (const each of ending) {
      const { id } = each.instance;
      const atMs = giveUpAtMs(each, this.#startedAtMs);
      if (atMs > clock.now()) times.push(atMs);
      else if (!(await this.#attempt(id, () => this.#giveUp(id)))) isAllDone = false;
    }
    const next = await database.transaction((tx) => database.instances.nextDeadline(tx));
    if (next !== null) times.push(next.getTime());
    if (!isAllDone) return this.#arm(clock.now() + RETRY_MS);
    this.#arm(times.length === 0 ? undefined : Math.min(...times));
  }

  /** One instance that cannot be ended must not keep the others from their end. @returns whether it worked */
  async #attempt(instanceId: InstanceId, end: () => Promise<void>): Promise<boolean> {
    try {
      await end();
      return true;
    } catch (error) {
      this.#deps.logger.error("cannot end an overdue instance; trying again", { instanceId, error });
      return false;
    }
  }

  #arm(atMs: number | undefined): void {
    this.#timer?.[Symbol.dispose]();
    const { clock } = this.#deps;
    if (atMs === undefined) return void (this.#timer = undefined);
    this.#timer = clock.after(Math.min(atMs - clock.now(), MAX_TIMER_MS), () => this.#refresher.request(null));
  }

  async #expire(id: InstanceId): Promise<void> {
    const { database, clock } = this.#deps;
    await database.transaction(async (tx) => {
      const found = await database.instances.get(tx, id);
      const instance = await database.instances.getForUpdate(tx, id);
      if (found === null || instance === null || instance.deadline.getTime() > clock.now()) return;
      const cause = { at: new Date(clock.now()), actor: "server", reason: "expired" } as const;
      await applyLifecycleEvent(database, tx, { instance, hostId: found.deployment.hostId }, { kind: "end", reason: "expired" }, cause);
    });
  }

  /** Nobody knows what is left at the host: free for the books, locked for launches. */
  async #giveUp(id: InstanceId): Promise<void> {
    const { database, clock, logger } = this.#deps;
    const given = await database.transaction(async (tx): Promise<EndingInstance | null> => {
      const instance = await database.instances.getForUpdate(tx, id);
      // Looked at again with the row held: the host may have come back or have said it meanwhile.
      const ending = (await database.instances.listEnding(tx)).find((each) => each.instance.id === id);
      if (instance === null || ending === undefined || giveUpAtMs(ending, this.#startedAtMs) > clock.now()) return null;
      const at = new Date(clock.now());
      const { deploymentId, epoch } = instance;
      const reason = `host not confirmed: it did not say that instance ${id} ended and nothing is left`;
      const cause = { at, actor: "server", reason: "host_not_confirmed" } as const;
      const lockoutId = `host_not_confirmed:${id}:${epoch}`;
      const lockout = { id: lockoutId, deploymentId, instanceId: id, kind: "host_not_confirmed" as const, reason, actor: "server", at };
      await database.lockouts.add(tx, lockout);
      // Before the final state, with which those who follow the timeline stop.
      const message = `locked out: ${reason}`;
      await raiseAlert(this.#deps, tx, { at, deploymentId, instanceId: id, message, actor: "server" });
      await applyLifecycleEvent(database, tx, { instance, hostId: ending.hostId }, { kind: "host_not_confirmed" }, cause);
      if (ending.hostId !== null) await announceDeployment(database, tx, { hostId: ending.hostId, deploymentId });
      return ending;
    });
    if (given === null) return;
    const { deploymentId } = given.instance;
    logger.warn("alert: locked out, because the host did not say that an instance ended", {
      deploymentId,
      instanceId: id,
      hostId: given.hostId,
    });
  }
}
