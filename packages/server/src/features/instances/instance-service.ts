import type { Database } from "@hardshare/db";
import { AppError, type InstanceId, type InstanceView } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import type { Caller } from "../../http/caller.ts";
import { unseal } from "../../secrets/sealing.ts";
import { getDeployment } from "../deployments/lookup.ts";
import { applyLifecycleEvent } from "./instance-changes.ts";
import { getInstanceAs, instanceNotFound, type InstanceRole, requireInstanceWriter } from "./policy.ts";
import { instanceView } from "./views.ts";

/** What people may do with an instance that there is. */
export class InstanceService {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #sealingKey: Buffer;

  constructor(deps: { database: Database; clock: Clock; sealingKey: Buffer }) {
    this.#database = deps.database;
    this.#clock = deps.clock;
    this.#sealingKey = deps.sealingKey;
  }

  async view(caller: Caller, id: InstanceId): Promise<InstanceView> {
    return this.#database.transaction(async (tx) => {
      const found = await getInstanceAs(this.#database, tx, { id, caller, roles: ["user", "owner", "superuser"] });
      return instanceView(found, await getDeployment(this.#database, tx, found.instance.deploymentId), caller);
    });
  }

  /** The private key that was made for the user. Whoever has it can do all in the instance: not for tokens that may only read. */
  async privateKey(caller: Caller, id: InstanceId): Promise<string> {
    requireInstanceWriter(caller);
    const { instance } = await this.#database.transaction((tx) =>
      getInstanceAs(this.#database, tx, { id, caller, roles: ["user", "superuser"] }),
    );
    if (instance.state === "TERMINATING" || instance.state === "TERMINATED") throw alreadyEnding(instance.state);
    if (instance.privateKeyEncrypted === null) {
      throw new AppError("not_found", "no secret SSH key available", { details: { why: "the launch brought a public key" } });
    }
    return unseal(this.#sealingKey, instance.privateKeyEncrypted, id);
  }

  /**
   * Ends an instance; in INIT this cancels the launch.
   * @throws AppError `wrong_state` when it is ending or has ended
   */
  async terminate(caller: Caller, id: InstanceId, roles: readonly InstanceRole[]): Promise<void> {
    requireInstanceWriter(caller);
    await this.#database.transaction(async (tx) => {
      const found = await getInstanceAs(this.#database, tx, { id, caller, roles });
      const instance = await this.#database.instances.getForUpdate(tx, id);
      if (instance === null) throw instanceNotFound(id);
      const { state } = instance;
      if (state === "TERMINATING" || state === "TERMINATED") throw alreadyEnding(state);
      if (state === "INIT_FAIL") throw new AppError("wrong_state", "cannot terminate instance that is init_fail", { details: { state } });
      const reason = found.role === "user" ? "user" : "owner";
      const cause = { at: new Date(this.#clock.now()), actor: caller.user, reason } as const;
      await applyLifecycleEvent(this.#database, tx, { instance, hostId: found.deployment.hostId }, { kind: "end", reason }, cause);
    });
  }
}

function alreadyEnding(state: string): AppError {
  return new AppError("wrong_state", `instance already ${state.toLowerCase()}`, { details: { state } });
}
