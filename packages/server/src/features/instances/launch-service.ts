import type { Database, DeploymentStatus, Instance, OnlineHub, Transaction } from "@hardshare/db";
import { AppError, InstanceId } from "@hardshare/protocol";
import { type Clock, type Random, Turns } from "@hardshare/runtime";
import type { Caller } from "../../http/caller.ts";
import { seal } from "../../secrets/sealing.ts";
import { makeUserKey } from "../../secrets/user-keys.ts";
import { announceInstance } from "../../wake-ups/topics.ts";
import { allBusy, launchDeadline, refusalToLaunch, requireLauncher } from "./launch-policy.ts";
import type { LaunchRequest, LaunchTarget } from "./launch-request.ts";

export interface Launched {
  instance: Instance;
  /** The private key that was made for the user, PEM; null when the user brought a public key. */
  madeKey: string | null;
}

interface UserKey {
  publicKey: string;
  privateKey: string | null;
}

/** Launches instances: chooses a deployment, a hub and a port, and inserts the row that holds the deployment. */
export class LaunchService {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #sealingKey: Buffer;
  /** To make a key takes a core up to a second: of many who want the same deployment, the losers must not make one. */
  readonly #keyTurns = new Turns(2);

  constructor(deps: { database: Database; clock: Clock; random: Random; sealingKey: Buffer }) {
    this.#database = deps.database;
    this.#clock = deps.clock;
    this.#random = deps.random;
    this.#sealingKey = deps.sealingKey;
  }

  /** @throws AppError why nothing was launched (see `refusalToLaunch`), `busy`, `no_hub`, `no_port` */
  async launch(caller: Caller, request: LaunchRequest): Promise<Launched> {
    requireLauncher(caller);
    const free = await this.#listFree(caller, request);
    const { publicKey } = request;
    if (publicKey !== null) return this.#launchOneOf(free, caller, request, { publicKey, privateKey: null });
    return this.#keyTurns.take(async () => {
      const stillFree = await this.#listFree(caller, request);
      return this.#launchOneOf(stillFree, caller, request, await makeUserKey(`${caller.user}@hardshare`));
    });
  }

  async #launchOneOf(free: readonly DeploymentStatus[], caller: Caller, request: LaunchRequest, key: UserKey): Promise<Launched> {
    for (const { id } of free) {
      const instance = await this.#database.transaction((tx) => this.#tryLaunch(tx, caller, request, id, key));
      if (instance !== null) return { instance, madeKey: key.privateKey };
    }
    throw allBusy(await this.#database.transaction((tx) => this.#listFeasible(tx, caller, request)));
  }

  /** @throws AppError why none can be launched now */
  async #listFree(caller: Caller, request: LaunchRequest): Promise<DeploymentStatus[]> {
    const feasible = await this.#database.transaction((tx) => this.#listFeasible(tx, caller, request));
    const free = feasible.filter((deployment) => deployment.queueLength === 0);
    if (free.length === 0) throw allBusy(feasible);
    return free;
  }

  /** The deployments that this caller could launch if they were free. When there is none: throws what is in the way of the last. */
  async #listFeasible(tx: Transaction, caller: Caller, request: LaunchRequest): Promise<DeploymentStatus[]> {
    const candidates = await this.#listCandidates(tx, request.target);
    let refusal: AppError | null = null;
    const feasible: DeploymentStatus[] = [];
    for (const deployment of candidates) {
      const rules = await this.#database.accessRules.list(tx, deployment.id);
      const why = refusalToLaunch(deployment, rules, caller, request.requestedS);
      if (why === null) feasible.push(deployment);
      else refusal = why;
    }
    if (feasible.length === 0 && refusal !== null) throw refusal;
    return feasible;
  }

  async #listCandidates(tx: Transaction, target: LaunchTarget): Promise<DeploymentStatus[]> {
    if (target.kind === "type") {
      const { items } = await this.#database.deployments.list(tx, { filter: { includeTypes: [target.type] } });
      if (items.length === 0) throw noMatch("no matching wdeployment found");
      return items.sort((a, b) => b.typeVersion - a.typeVersion);
    }
    const { items } = await this.#database.deployments.list(tx, { filter: { ids: target.ids, withDissolved: true } });
    const isOne = target.ids.length === 1;
    if (items.length < target.ids.length) {
      throw noMatch(isOne || items.length === 0 ? "no matching wdeployment found" : "some given IDs have no matching wdeployment");
    }
    if (items.some((deployment) => deployment.dissolvedAt !== null)) {
      throw new AppError(
        "dissolved",
        isOne ? "workspace deployment is permanently unavailable" : "some of the given workspace deployments are permanently unavailable",
      );
    }
    if (new Set(items.map((deployment) => deployment.type)).size > 1) {
      throw new AppError("bad_input", "multiple request for wdeployments of different wtype not supported", { details: { field: "wds" } });
    }
    const order = new Map(target.ids.map((id, index) => [id, index]));
    return items.sort((a, b) => (order.get(a.id) ?? 0) - (order.get(b.id) ?? 0));
  }

  /** @returns null when somebody else was faster */
  async #tryLaunch(
    tx: Transaction,
    caller: Caller,
    request: LaunchRequest,
    deploymentId: DeploymentStatus["id"],
    key: UserKey,
  ): Promise<Instance | null> {
    const { deployments, accessRules, hubs, instances } = this.#database;
    const deployment = await deployments.getForUpdate(tx, deploymentId);
    if (deployment === null || deployment.holder !== null) return null;
    const refusal = refusalToLaunch(deployment, await accessRules.list(tx, deploymentId), caller, request.requestedS);
    if (refusal !== null) throw refusal;
    const at = new Date(this.#clock.now());
    const place = await this.#choosePlace(tx, await hubs.listOnline(tx), deployment, at);
    const id = InstanceId.parse(this.#random.uuid());
    const outcome = await instances.insertLaunch(tx, {
      id,
      deploymentId,
      user: caller.user,
      hubId: place.hub.hub.id,
      publicPort: place.port,
      publicKeys: [key.publicKey],
      privateKeyEncrypted: key.privateKey === null ? null : seal(this.#sealingKey, key.privateKey, id, this.#random),
      requestedS: request.requestedS,
      deadline: launchDeadline(deployment, request.requestedS, at),
      at,
    });
    if (outcome.kind === "busy") return null;
    if (request.wantsKeepAlive) {
      const data = { level: "warning", message: "keep-alive is not enforced yet: the instance goes on until it is ended or its deadline" };
      await this.#database.events.append(tx, { at, deploymentId, instanceId: id, kind: "notice", actor: "server", data });
    }
    await announceInstance(this.#database, tx, { instanceId: id, deploymentId, hostId: deployment.hostId, hubId: place.hub.hub.id });
    return outcome.instance;
  }

  /** The least loaded hub that has a port to give, when one is needed. */
  async #choosePlace(
    tx: Transaction,
    online: readonly OnlineHub[],
    deployment: DeploymentStatus,
    at: Date,
  ): Promise<{ hub: OnlineHub; port: number | null }> {
    const needsPort = deployment.provider !== "proxy" || deployment.hasPublicPort;
    for (const hub of online) {
      const port = needsPort ? await this.#database.instances.pickPublicPort(tx, { hubId: hub.hub.id, at }) : null;
      if (!needsPort || port !== null) return { hub, port };
    }
    if (online.length === 0) {
      throw new AppError(
        "no_hub",
        "no hub is connected, so there is no way to an instance; try again, or tell the operator to start one (hardshare hub)",
      );
    }
    throw new AppError("no_port", "every public port of every hub is taken or was used during the last 10 minutes; try again later");
  }
}

function noMatch(message: string): AppError {
  return new AppError("not_found", message, { details: { field: "id" } });
}
