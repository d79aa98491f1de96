import type { Database, Transaction } from "@hardshare/db";
import type { EndpointReport, HubId } from "@hardshare/protocol";
import type { Clock, Logger } from "@hardshare/runtime";
import { announceInstance } from "../../wake-ups/topics.ts";
import { makeReadyIfProved } from "../instances/instance-changes.ts";

/** What hubs say of their endpoints. Idempotent; what doesn't fit the row changes nothing. */
export class EndpointReports {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #logger: Logger;

  constructor(deps: { database: Database; clock: Clock; logger: Logger }) {
    this.#database = deps.database;
    this.#clock = deps.clock;
    this.#logger = deps.logger;
  }

  /** Resolves when the report is committed. */
  async receive(hubId: HubId, report: EndpointReport): Promise<void> {
    if (report.status === "closed" && report.highestEpoch === undefined) return; // what is desired does not depend on it
    await this.#database.transaction((tx) => this.#act(tx, hubId, report));
    if (report.status === "port_taken") {
      const { instanceId, epoch, message } = report;
      this.#logger.warn("a stranger holds the public port of an instance", { hubId, instanceId, epoch, reason: message });
    }
  }

  async #act(tx: Transaction, hubId: HubId, report: EndpointReport): Promise<void> {
    const { instances, deployments, events } = this.#database;
    const { instanceId, epoch, publicPort, status } = report;
    const found = await instances.get(tx, instanceId);
    if (found === null || found.instance.hubId !== hubId || found.instance.epoch !== epoch) return;
    if (found.instance.state !== "INIT") return; // in READY the jump host is still a way in; after every connect hubs repeat what is known
    const { hostId, id: deploymentId } = found.deployment;
    const at = new Date(this.#clock.now());
    const instance = await instances.getForUpdate(tx, instanceId);
    if (instance?.state !== "INIT") return;
    if (instance.publicPort !== publicPort) return; // late: it was about a port that is given up, and proves nothing of the new one
    const announce = () => announceInstance(this.#database, tx, { instanceId, deploymentId, hostId, hubId });
    const fail = async (failedLog: string) => {
      const data = { step: "endpoint", text: failedLog };
      await events.append(tx, { at, deploymentId, instanceId, kind: "log", actor: `hub:${hubId}`, data });
      // Not INIT_FAIL yet: the host may have begun, and has to let go first.
      const failure = { reason: "init_failed", failedStep: "endpoint", failedLog } as const;
      await instances.changeState(tx, { instanceId, from: "INIT", to: "TERMINATING", at, actor: "server", ...failure });
      return announce();
    };

    if (status === "port_taken") {
      if (publicPort !== null && (await instances.reassignPort(tx, { instanceId, from: publicPort, at })) !== null) return announce();
      return fail("the hub has no public port that it can bind");
    }
    if (status === "closed") {
      // The store is older than what the hub has seen: it was restored from a backup.
      await deployments.raiseEpoch(tx, deploymentId, report.highestEpoch ?? epoch);
      return fail("the hub has had a later instance of this deployment, whose epoch is not known here any more; launch again");
    }
    if (instance.endpointOpenAt === null) {
      await instances.mark(tx, { instanceId, epoch, mark: { kind: "endpoint_open" }, at });
      await announce();
    }
    if (status !== "probed" || instance.probedAt !== null) return;
    const probed = await instances.mark(tx, { instanceId, epoch, mark: { kind: "probed" }, at });
    if (probed !== null) await makeReadyIfProved(this.#database, tx, { instance: probed, hostId }, at);
  }
}
