import type { Database } from "@hardshare/db";
import { AppError, type DeploymentId, type EstopAnswer, estopLockoutOf, type InstanceId, toAppError } from "@hardshare/protocol";
import { BackOff, type Clock, type Logger, pause, type Random, within } from "@hardshare/runtime";
import { type Caller, requireWriter } from "../../http/caller.ts";
import { RateWindows } from "../../http/rate-limits.ts";
import { getDeployment } from "../deployments/lookup.ts";
import { isOwner, requireOwner } from "../deployments/ownership.ts";
import { getInstanceAs, instanceNotFound, requireInstanceWriter, rolesOf } from "../instances/policy.ts";
import type { EstopDispatch, EstopPress } from "./estop-dispatch.ts";
import type { LiveDeployment } from "./live-deployments.ts";
import { type RecordedEstop, recordEstop } from "./record-estop.ts";

/** How long an answer waits until the E-stop is written down; after that the server goes on without it. */
const RECORDED_WITHIN_MS = 2000;
const RETRY_FIRST_MS = 100;
const RETRY_MAX_MS = 5000;
/** E-stops of one token that nobody may press or that find nothing, in an hour; others are not counted. */
const MAX_REFUSED_PER_HOUR = 60;

/**
 * E-stops that people press. Who may is found out from memory where that is possible, else from the store; host and hub
 * are told; then it is written down, again and again if the store cannot.
 */
export class EstopService implements Disposable {
  readonly #database: Database;
  readonly #dispatch: EstopDispatch;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #logger: Logger;
  readonly #refused: RateWindows;
  readonly #stop = new AbortController();

  constructor(deps: { database: Database; estops: EstopDispatch; clock: Clock; random: Random; logger: Logger }) {
    this.#database = deps.database;
    this.#dispatch = deps.estops;
    this.#clock = deps.clock;
    this.#random = deps.random;
    this.#logger = deps.logger;
    this.#refused = new RateWindows(deps.clock);
  }

  /** By the instance's user, or the owner of its deployment. @throws AppError `not_found`, `token_scope`, `wrong_state`, `rate_limited` */
  pressInstance(caller: Caller, id: InstanceId): Promise<EstopAnswer> {
    return this.#counted(caller, async () => {
      requireInstanceWriter(caller);
      const known = this.#dispatch.deployments.ofInstance(id);
      const by = known === undefined ? undefined : pressedBy(caller, known);
      if (known !== undefined && by !== undefined) return this.#press({ by, actor: caller.user, meansInstance: true, target: known });
      this.#checkRefused(caller);
      const found = await this.#database.transaction((tx) =>
        getInstanceAs(this.#database, tx, { id, caller, roles: ["owner", "superuser", "user"] }),
      );
      const { deployment, instance, role } = found;
      const { epoch, user, hubId } = instance;
      const target = {
        deploymentId: deployment.id,
        owner: deployment.owner,
        hostId: deployment.hostId,
        live: { instanceId: id, epoch, user, hubId },
      };
      if (instance.endedAt !== null) {
        throw new AppError("wrong_state", `instance already ${instance.state.toLowerCase()}; the owner can stop the deployment itself`, {
          details: { state: instance.state },
        });
      }
      return this.#press({ by: role === "user" ? "user" : "owner", actor: caller.user, meansInstance: true, target });
    });
  }

  /** By the owner, with or without an instance. @throws AppError `not_found`, `access_denied`, `token_scope`, `rate_limited` */
  pressDeployment(caller: Caller, id: DeploymentId): Promise<EstopAnswer> {
    return this.#counted(caller, async () => {
      requireWriter(caller);
      const press = (target: LiveDeployment) => this.#press({ by: "owner", actor: caller.user, meansInstance: false, target });
      const known = this.#dispatch.deployments.ofDeployment(id);
      if (known !== undefined && (caller.isSuperuser || isOwner(caller, known.owner))) return press(known);
      this.#checkRefused(caller);
      return press(
        await this.#database.transaction(async (tx) => {
          const { owner, hostId, holder, ...deployment } = await getDeployment(this.#database, tx, id);
          requireOwner(caller, { ...deployment, owner });
          const found = holder === null ? null : await this.#database.instances.get(tx, holder.instanceId);
          if (holder !== null && found === null) throw instanceNotFound(holder.instanceId);
          const { epoch, user, hubId } = found?.instance ?? {};
          const isLive = holder !== null && epoch !== undefined && user !== undefined && hubId !== undefined;
          return { deploymentId: id, owner, hostId, live: isLive ? { instanceId: holder.instanceId, epoch, user, hubId } : null };
        }),
      );
    });
  }

  /** No longer tries to write down what could not be. */
  [Symbol.dispose](): void {
    this.#stop.abort();
  }

  async #press(press: EstopPress): Promise<EstopAnswer> {
    const { lockoutId, host } = this.#dispatch.send(press);
    const { deploymentId, live } = press.target;
    this.#logger.warn("E-stop", { deploymentId, instanceId: live?.instanceId, by: press.by, actor: press.actor });
    const recording = this.#record(press, lockoutId);
    recording.catch(() => {}); // whoever still waits for it is told
    const recorded = await within(this.#clock, RECORDED_WITHIN_MS, recording);
    const heard = await host;
    return {
      deployment: deploymentId,
      instance: recorded === undefined ? (live?.instanceId ?? null) : recorded.instanceId,
      host: heard === "offline" && recorded?.isHostConnected === true ? "no_answer" : heard, // another replica tells it
      recorded: recorded !== undefined,
    };
  }

  async #record(press: EstopPress, lockoutId: string): Promise<RecordedEstop | undefined> {
    const at = new Date(this.#clock.now());
    const nextLockoutId = estopLockoutOf(this.#random.uuid());
    const backOff = new BackOff({ firstMs: RETRY_FIRST_MS, maxMs: RETRY_MAX_MS, random: this.#random });
    while (!this.#stop.signal.aborted) {
      try {
        return await this.#database.transaction((tx) =>
          recordEstop({ database: this.#database, random: this.#random }, tx, { press, lockoutId, nextLockoutId, at }),
        );
      } catch (error) {
        if (!toAppError(error).shouldRetry()) throw error;
        const { deploymentId } = press.target;
        this.#logger.error("an E-stop is not written down yet", { deploymentId, error });
        await pause(this.#clock, backOff.nextMs(), this.#stop.signal);
      }
    }
    return undefined;
  }

  /** Refusals are limited, so that a token is no means to make the store work without end; what may be pressed never is. */
  async #counted(caller: Caller, press: () => Promise<EstopAnswer>): Promise<EstopAnswer> {
    try {
      return await press();
    } catch (error) {
      this.#refused.take(caller.tokenSha256, MAX_REFUSED_PER_HOUR);
      throw error;
    }
  }

  #checkRefused(caller: Caller): void {
    const { remaining, resetAtS, limit } = this.#refused.peek(caller.tokenSha256, MAX_REFUSED_PER_HOUR);
    if (remaining > 0) return;
    throw new AppError("rate_limited", `${limit} E-stops were refused within an hour; wait before trying more that you may not press`, {
      details: { limit, resetAt: resetAtS },
    });
  }
}

function pressedBy(caller: Caller, { owner, live }: LiveDeployment): "owner" | "user" | undefined {
  if (live === null) return undefined;
  const roles = rolesOf(caller, { instanceId: live.instanceId, user: live.user, owner });
  if (roles.includes("owner") || roles.includes("superuser")) return "owner";
  return roles.includes("user") ? "user" : undefined;
}
