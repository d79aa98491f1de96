import type { Database, Instance, Transaction } from "@hardshare/db";
import {
  type DeploymentId,
  type HostDeployment,
  type HostId,
  type HostLockout,
  type HostReport,
  isFinalState,
  MAX_REASON_CHARS,
  type ReportBody,
  toStorableText,
} from "@hardshare/protocol";
import type { Clock, Logger, Random } from "@hardshare/runtime";
import { announceDeployment, scopes } from "../../wake-ups/topics.ts";
import { type Alert, raiseAlert } from "../hooks/tell-hooks.ts";
import { applyLifecycleEvent, makeReadyIfProved } from "../instances/instance-changes.ts";

/** Whether the host should be told again what is desired, because what it said does not fit. */
export type ReportVerdict = "fits" | "look_again";

type Body<Kind extends ReportBody["kind"]> = Extract<ReportBody, { kind: Kind }>;

/** Something that people should be told loudly: it is an event already, and becomes a log line when it is committed. */
interface LoudEvent {
  message: string;
  /** What was wrong is well again. */
  isGood?: true;
}

/** What hosts say of their instances and deployments, each report in one transaction: recorded, acted on, or known to be stale. */
export class HostReports {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #logger: Logger;

  constructor(deps: { database: Database; clock: Clock; random: Random; logger: Logger }) {
    this.#database = deps.database;
    this.#clock = deps.clock;
    this.#random = deps.random;
    this.#logger = deps.logger;
  }

  /**
   * Takes reports of one instance, in order of their numbers, in one transaction. Resolves when it is committed: they may be
   * acknowledged then.
   */
  async receive(hostId: HostId, reports: readonly [HostReport, ...HostReport[]]): Promise<ReportVerdict> {
    const alerts: LoudEvent[] = [];
    const verdict = await this.#database.transaction(async (tx) => {
      alerts.length = 0; // the transaction may run again
      let fits = true;
      for (const report of reports) fits = (await this.#record(tx, hostId, report, alerts)) === "fits" && fits;
      return fits ? "fits" : "look_again";
    });
    const { deploymentId, instanceId } = reports[0];
    const facts = { hostId, deploymentId, instanceId };
    for (const { message, isGood } of alerts) {
      if (isGood === true) this.#logger.info(message, facts);
      else this.#logger.warn(`alert: ${message}`, facts);
    }
    return verdict;
  }

  async #record(tx: Transaction, hostId: HostId, report: HostReport, alerts: LoudEvent[]): Promise<ReportVerdict> {
    const outcome = await this.#database.instances.recordReport(tx, { hostId, ...report });
    switch (outcome.kind) {
      case "repeated":
        // Of two daemons that were killed one after the other both count from the same number: this is another report.
        return report.body.kind === "ended" && !isFinalState(outcome.instance.state) ? "look_again" : "fits";
      case "unknown":
        await this.#recordUnknown(tx, hostId, report);
        return "look_again";
      case "recorded":
        return this.#act(tx, { instance: outcome.instance, hostId, report, alerts });
    }
  }

  /** What the host says of a deployment, beside its instances: recorded as it is, and alerts that are new are raised. */
  async describe(tx: Transaction, hostId: HostId, deployment: HostDeployment): Promise<void> {
    const { deploymentId, alerts } = deployment;
    const known = alerts.length === 0 ? null : await this.#database.deployments.get(tx, deploymentId);
    if (!(await this.#database.deployments.updateFromHost(tx, hostId, deployment))) return;
    const at = new Date(this.#clock.now());
    for (const { id, message } of alerts) {
      if (known?.hostAlertIds.includes(id) === true) continue;
      await this.#raiseAlert(tx, { hostId, deploymentId, instanceId: null, message, at });
    }
  }

  /** A lock-out that the host decided. Repeating it changes nothing. Resolves when it is committed. */
  async receiveLockout(hostId: HostId, lockout: HostLockout): Promise<void> {
    const { deploymentId, reason, actor } = lockout;
    const instanceId = lockout.instanceId ?? null;
    const id = `${hostId}:${lockout.lockoutId}`; // no host can use up the ids of another
    const isNew = await this.#database.transaction(async (tx) => {
      const deployment = await this.#database.deployments.get(tx, deploymentId);
      if (deployment?.hostId !== hostId) return false; // not this host's to lock: acknowledged, so that it is not repeated for ever
      const at = new Date(this.#clock.now());
      const named = instanceId === null ? null : await this.#database.instances.get(tx, instanceId);
      const known = named?.instance.deploymentId === deploymentId ? instanceId : null;
      if (!(await this.#database.lockouts.add(tx, { id, deploymentId, instanceId: known, kind: "host", reason, actor, at }))) return false;
      await this.#raiseAlert(tx, { hostId, deploymentId, instanceId: known, message: `locked out: ${reason}`, at });
      await announceDeployment(this.#database, tx, { hostId, deploymentId });
      return true;
    });
    if (isNew) this.#logger.warn(`alert: locked out: ${reason}`, { hostId, deploymentId, instanceId });
  }

  async #act(
    tx: Transaction,
    told: { instance: Instance; hostId: HostId; report: HostReport; alerts: LoudEvent[] },
  ): Promise<ReportVerdict> {
    const { instance, hostId, report, alerts } = told;
    const { body } = report;
    const { id: instanceId, deploymentId, epoch } = instance;
    const at = new Date(this.#clock.now());
    const append = (kind: string, data: Record<string, unknown>) =>
      this.#database.events.append(tx, { at, deploymentId, instanceId, kind, actor: `host:${hostId}`, data });
    await this.#database.wakeUps.notify(tx, scopes.instance(instanceId));
    switch (body.kind) {
      case "accepted":
        await this.#database.instances.mark(tx, { instanceId, epoch, mark: { kind: "accepted" }, at });
        await append("accepted", {});
        return "fits";
      case "step": {
        const { kind: _kind, ...step } = body;
        await append("step", step);
        return "fits";
      }
      case "log":
        await append("log", { step: body.step, text: body.text });
        return "fits";
      case "filter": {
        const { type: _type, ...decision } = body.decision;
        await append("filter", { service: body.service, ...decision, ...(body.missed === undefined ? {} : { missed: body.missed }) });
        return "fits";
      }
      case "tap":
      case "traffic": {
        const { kind, ...facts } = body;
        await append(kind, facts);
        return "fits";
      }
      case "later":
        return "fits";
      case "notice":
        if (body.level === "alert") {
          await this.#raiseAlert(tx, { hostId, deploymentId, instanceId, message: body.text, at });
          alerts.push({ message: body.text });
        } else {
          await append("notice", { level: body.level, message: body.text });
        }
        return "fits";
      case "up": {
        if (instance.state !== "INIT") {
          await append("ignored", { report: "up", state: instance.state });
          return "look_again";
        }
        const marked = await this.#database.instances.mark(tx, { instanceId, epoch, mark: { kind: "up", hostKeys: body.hostKeys }, at });
        if (marked !== null) await makeReadyIfProved(this.#database, tx, { instance: marked, hostId }, at);
        return "fits";
      }
      case "ended":
        await this.#end(tx, { instance, hostId, body, at, alerts });
        return "fits";
    }
  }

  /** The host let go. */
  async #end(
    tx: Transaction,
    told: { instance: Instance; hostId: HostId; body: Body<"ended">; at: Date; alerts: LoudEvent[] },
  ): Promise<void> {
    const { instance, hostId, body, at } = told;
    const { id: instanceId, deploymentId } = instance;
    const isFailure = body.failedStep !== undefined;
    if (!body.clean) await this.#lockForResidue(tx, told);
    await applyLifecycleEvent(
      this.#database,
      tx,
      { instance, hostId },
      { kind: "host_ended", reason: body.reason, isFailure },
      {
        at,
        actor: `host:${hostId}`,
        // Once it is ending, why stands in the row already.
        ...(instance.state === "TERMINATING" ? {} : { reason: body.reason }),
        ...(body.failedStep === undefined ? {} : { failedStep: body.failedStep }),
        ...(body.log === undefined ? {} : { failedLog: body.log }),
      },
    );
    if (await this.#liftConfirmed(tx, { hostId, deploymentId, instanceId, at }))
      told.alerts.push({ message: "lock-out lifted: the host confirmed the end of the instance", isGood: true });
  }

  /** Something is left at the host: the deployment must not be launched again before somebody looked. */
  async #lockForResidue(
    tx: Transaction,
    told: { instance: Instance; hostId: HostId; body: Body<"ended">; at: Date; alerts: LoudEvent[] },
  ): Promise<void> {
    const { instance, hostId, body, at, alerts } = told;
    const { id: instanceId, deploymentId, epoch } = instance;
    const left = body.residue.join(", ") || "the host does not say what is left";
    const reason = toStorableText(`not clean after an instance: ${left}`.slice(0, MAX_REASON_CHARS)); // a cut may halve a character
    const id = `residue:${instanceId}:${epoch}`;
    const lockout = { id, deploymentId, instanceId, kind: "host" as const, reason, actor: `host:${hostId}`, at };
    if (!(await this.#database.lockouts.add(tx, lockout))) return;
    await this.#raiseAlert(tx, { hostId, deploymentId, instanceId, message: `locked out: ${reason}`, at });
    alerts.push({ message: `locked out: ${reason}` });
    await announceDeployment(this.#database, tx, { hostId, deploymentId });
  }

  /**
   * The word that was missing has come: lifts the lock-out that was set for want of it, if it was for this very instance.
   * What is left has one of its own. @returns whether there was one
   */
  async #liftConfirmed(
    tx: Transaction,
    at: { hostId: HostId; deploymentId: DeploymentId; instanceId: string; at: Date },
  ): Promise<boolean> {
    const { lockouts } = this.#database;
    const waiting = (await lockouts.list(tx, at.deploymentId)).filter((lockout) => lockout.kind === "host_not_confirmed");
    if (waiting.length === 0 || waiting.some((lockout) => lockout.instanceId !== at.instanceId)) return false;
    await lockouts.lift(tx, { deploymentId: at.deploymentId, kind: "host_not_confirmed", actor: `host:${at.hostId}`, at: at.at });
    await announceDeployment(this.#database, tx, at);
    return true;
  }

  /** A report that fits no instance of this host: kept in the deployment's history when the deployment is the host's. */
  async #recordUnknown(tx: Transaction, hostId: HostId, report: HostReport): Promise<void> {
    const { deploymentId, instanceId, epoch, sequence, body } = report;
    const deployment = await this.#database.deployments.get(tx, deploymentId);
    if (deployment?.hostId !== hostId) return;
    const data = { report: body.kind, instanceId, epoch, sequence };
    const at = new Date(this.#clock.now());
    await this.#database.events.append(tx, { at, deploymentId, instanceId: null, kind: "ignored", actor: `host:${hostId}`, data });
  }

  async #raiseAlert(tx: Transaction, { hostId, ...alert }: Alert & { hostId: HostId }): Promise<void> {
    await raiseAlert({ database: this.#database, random: this.#random }, tx, { ...alert, actor: `host:${hostId}` });
  }
}
