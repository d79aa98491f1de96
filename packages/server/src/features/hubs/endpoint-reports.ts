import type { Database, Transaction } from "@hardshare/db";
import type { EndpointReport, HubId } from "@hardshare/protocol";
import type { Clock, Logger } from "@hardshare/runtime";
import { announceInstance } from "../../wake-ups/topics.ts";
import { applyLifecycleEvent, makeReadyIfProved } from "../instances/instance-changes.ts";

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
    if (report.status === "forwarded" || report.status === "closed") return; // what is desired does not depend on it
    await this.#database.transaction((tx) => this.#act(tx, hubId, report));
    if (report.status === "port_taken") {
      const { instanceId, epoch, message } = report;
      this.#logger.warn("a stranger holds the public port of an instance", { hubId, instanceId, epoch, message });
    }
  }

  async #act(tx: Transaction, hubId: HubId, report: EndpointReport): Promise<void> {
    const { instances } = this.#database;
    const { instanceId, epoch } = report;
    const found = await instances.get(tx, instanceId);
    if (found === null || found.instance.hubId !== hubId || found.instance.epoch !== epoch) return;
    const { hostId, id: deploymentId } = found.deployment;
    const at = new Date(this.#clock.now());
    const instance = await instances.getForUpdate(tx, instanceId);
    if (instance === null) return;
    const announce = () => announceInstance(this.#database, tx, { instanceId, deploymentId, hostId, hubId });

    if (report.status === "port_taken") {
      if (instance.publicPort === null || instance.state !== "INIT") return; // in READY the jump host is still a way in
      if ((await instances.reassignPort(tx, { instanceId, from: instance.publicPort, at })) !== null) return announce();
      const data = { step: "endpoint", text: "the hub has no public port that it can bind" };
      await this.#database.events.append(tx, { at, deploymentId, instanceId, kind: "log", actor: `hub:${hubId}`, data });
      const cause = { at, actor: "server", reason: "init_failed" } as const;
      await applyLifecycleEvent(this.#database, tx, { instance, hostId }, { kind: "end", reason: "init_failed" }, cause);
      return;
    }
    const isKnown = (report.status === "open" ? instance.endpointOpenAt : instance.probedAt) !== null;
    if (isKnown) return;
    const kind = report.status === "open" ? "endpoint_open" : "probed";
    const marked = await instances.mark(tx, { instanceId, epoch, mark: { kind }, at });
    if (marked === null) return;
    if (kind === "probed") await makeReadyIfProved(this.#database, tx, { instance: marked, hostId }, at);
    else await announce();
  }
}
