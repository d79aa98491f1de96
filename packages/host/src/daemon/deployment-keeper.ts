import { decideHost, type HostAction, type HostFacts, placeDeadline } from "@hardshare/core";
import {
  type DeploymentId,
  type DesiredDeployment,
  type DesiredInstance,
  endTimeoutSeconds,
  estopLockoutOf,
  type Heartbeat,
  type HostDeployment,
  type InstanceId,
  MAX_REPORT_LOG_CHARS,
  probeOf,
  providerOf,
} from "@hardshare/protocol";
import type { ReportOutbox } from "../channel/report-outbox.ts";
import { ReportStream } from "../channel/report-stream.ts";
import type { ContainerExit } from "../engine/engine.ts";
import type { Beginning } from "../instance/beginning.ts";
import { DeploymentHealth } from "../health/deployment-health.ts";
import { HostInstance, type HostInstanceOptions } from "../instance/host-instance.ts";
import type { HostTools } from "../instance/instance-parts.ts";
import { isLive } from "../journal/journal-state.ts";
import type { Journal } from "../journal/journal.ts";
import type { DeploymentStatus } from "./daemon-status.ts";
import { warnOfClock } from "./clock-warning.ts";
import { DeploymentStops, type Estop } from "./deployment-stops.ts";
import { DeploymentTrials } from "./deployment-trials.ts";
import { EndedAnswers, endOf } from "./ended-answers.ts";
import { readJournalledContract } from "./journalled-contract.ts";
import { NewestAlerts } from "./newest-alerts.ts";
import { Offer } from "./offer.ts";
import type { NewLockout } from "./server-link.ts";
import { whyUndone } from "./why-undone.ts";

export interface DeploymentKeeperOptions {
  deploymentId: DeploymentId;
  tools: HostTools;
  journal: Journal;
  outbox: ReportOutbox;
  /** Locks the deployment out; never rejects. */
  lockOut(lockout: NewLockout): Promise<void>;
  /** What `describe` says has changed. */
  onChange: () => void;
  /** The server says that it was dissolved, and nothing of it runs any more: called once. */
  onDissolved: (deploymentId: DeploymentId) => void;
}

/** One deployment at its host: what is offered, what should run, what runs. */
export class DeploymentKeeper {
  readonly deploymentId: DeploymentId;
  readonly offer: Offer;
  readonly #health: DeploymentHealth;
  readonly trials: DeploymentTrials;
  readonly #options: DeploymentKeeperOptions;
  /** Whether the daemon ends: nothing is begun any more. */
  #isClosing = false;
  /** Undefined until the server has spoken; null when it does not know the deployment. */
  #desired: DesiredDeployment | null | undefined;
  #current: HostInstance | undefined;
  /** What is told of the current instance. */
  #reports: ReportStream | undefined;
  readonly #alerts: NewestAlerts;
  readonly #answers: EndedAnswers;
  readonly #stops: DeploymentStops;

  constructor(options: DeploymentKeeperOptions) {
    this.deploymentId = options.deploymentId;
    this.#options = options;
    this.#alerts = new NewestAlerts(options.tools.clock);
    this.offer = new Offer(options.deploymentId, options.tools, () => {
      this.#health.look();
      this.#onOfferChange();
    });
    const lockOut = (instanceId: InstanceId, why: string, lockoutId?: string) => this.#lockOut(instanceId, why, lockoutId);
    this.#health = new DeploymentHealth({
      ...options,
      offer: this.offer,
      current: () =>
        this.#current === undefined || this.#reports === undefined ? undefined : { instance: this.#current, reports: this.#reports },
      isLockedOut: () => this.#lockout !== null,
      isMakingSafe: () => this.#stops.isRunning || (this.#current ?? this.trials.instance)?.isStopped === true,
      hasTrial: () => this.trials.isRunning,
      endTrial: () => this.trials.cancel(),
      lockOut: (why) => this.#lockOut(this.#current?.facts.instanceId, why),
      onAlert: (message) => this.#alerts.add(message),
      onChange: () => this.#onOfferChange(),
    });
    const isActedOn = (lockoutId: string) => this.#stops.isActedOn(lockoutId);
    this.#answers = new EndedAnswers({ ...options, clock: options.tools.clock, lockOut, isActedOn });
    this.#stops = new DeploymentStops({
      ...options,
      offer: this.offer,
      untilQuiet: () => this.#health.stop(),
      onOver: () => this.#onUseChange(),
    });
    this.trials = new DeploymentTrials({
      ...options,
      whyNot: () => this.#whyNoTrial(),
      onChange: () => this.#onUseChange(),
    });
  }

  get current(): HostInstance | undefined {
    return this.#current;
  }

  /** As the server is told. */
  describe(): HostDeployment {
    const { contract } = this.offer.contract;
    const unrecorded = [...this.#instances()].findLast((instance) => instance.ended !== undefined && !instance.isAcknowledged);
    const current = this.#current;
    return {
      deploymentId: this.deploymentId,
      provider: providerOf(contract),
      probe: probeOf(contract),
      publicPort: contract.public_port,
      maxDurationS: contract.max_duration,
      // Also that of an instance which began with another contract.
      endTimeoutS: Math.max(endTimeoutSeconds(contract), current === undefined ? 0 : endTimeoutSeconds(current.facts.loaded.contract)),
      ...(current?.facts.loaded.contract.dead_man === undefined ? {} : { deadManS: current.facts.loaded.contract.dead_man }),
      isAdvertised: this.offer.isOpen && !this.trials.isRunning,
      ...this.#health.describe(),
      highestEpoch: this.#highestEpoch,
      current:
        current !== undefined
          ? { instanceId: current.facts.instanceId, epoch: current.facts.epoch, phase: current.phase }
          : unrecorded === undefined
            ? null
            : { instanceId: unrecorded.instanceId, epoch: unrecorded.epoch, phase: "ended" },
    };
  }

  /** As people are told. */
  status(): DeploymentStatus {
    const current = this.#current;
    return {
      id: this.deploymentId,
      provider: this.offer.isConfigured ? providerOf(this.offer.contract.contract) : null,
      network: this.offer.isConfigured ? (current?.facts.loaded ?? this.offer.contract).contract.network : null,
      isAdvertised: this.offer.isAdvertised,
      problem: this.offer.problem,
      lockout: this.#lockout,
      rest: this.#current === undefined ? this.#health.describe().rest : null,
      alerts: this.#alerts.list,
      instance:
        current === undefined
          ? null
          : {
              id: current.facts.instanceId,
              user: current.facts.user,
              epoch: current.facts.epoch,
              phase: current.phase,
              steps: current.runningSteps,
              deadline: new Date(current.deadlineMs).toISOString(),
              traffic: current.traffic,
            },
    };
  }

  /** Takes over what should be; null: the server does not know the deployment. */
  apply(desired: DesiredDeployment | null): void {
    if (this.#isClosing) return;
    this.#desired = desired;
    if (desired?.dissolved != null) this.offer.dissolve(desired.dissolved);
    const estop = desired?.estop ?? null;
    if (estop !== null && !this.#stops.isActedOn(estop.lockoutId)) this.estop({ instance: null, by: "owner", ...estop });
    this.#health.look(); // first: whether it is locked out decides whether monitors have to look again
    this.#reconcile();
  }

  /** Somebody at this computer presses E-stop: counts as the owner. @returns the instance that is stopped */
  estopHere(actor: string): InstanceId | null {
    const instanceId = this.#current?.facts.instanceId ?? null;
    const lockoutId = this.#stops.nextLockoutId(instanceId, { isLockedOut: this.#lockout !== null });
    this.estop({ instance: null, by: "host", actor, lockoutId });
    return instanceId;
  }

  /** Makes the hardware safe at once, whatever is being done with it. */
  estop(estop: Estop): void {
    const running = this.#current ?? this.trials.instance;
    this.#stops.press(estop, running);
    if (running?.isStopped === true) void this.#health.stop(); // without an instance that is waited for
    this.#options.onChange();
  }

  onHeartbeat(heartbeat: Heartbeat): void {
    if (this.#current?.facts.instanceId === heartbeat.instanceId) this.#current.onHeartbeat(heartbeat);
  }

  onContainerExit(exit: ContainerExit): void {
    this.#current?.onContainerExit(exit);
    this.trials.instance?.onContainerExit(exit);
  }

  /** After a start: goes on with what the last daemon was doing, by the journal. Waits for nothing, least of all the engine. */
  restore(): void {
    const { journal, outbox, tools } = this.#options;
    const stop = this.#stops.unfinished;
    for (const instance of this.#instances()) {
      const { instanceId, deploymentId, epoch, started, deadline, containerId, ended, isAcknowledged } = instance;
      if (ended !== undefined) {
        if (isAcknowledged) continue;
        const body = { kind: "ended", ...endOf(ended) } as const;
        outbox.addReport({ type: "report", deploymentId, instanceId, epoch, sequence: ended.sequence, at: ended.at, body });
        continue;
      }
      if (started === undefined || deadline === undefined) continue;
      const { loaded, problem } = readJournalledContract(started);
      const endReason = stop?.instanceId === instanceId ? "estop" : instance.endReason;
      const why = whyUndone({ ...instance, endReason }, { provider: providerOf(loaded.contract), problem, bootId: tools.time().bootId });
      const beginning: Beginning =
        why === undefined ? { kind: "adopt" } : { kind: "clean_up", reason: endReason ?? "host_restarted", problem };
      const what = why === undefined ? "adopting" : "undoing";
      const about = { deploymentId, instanceId, epoch, ...(why === undefined ? {} : { why }) };
      tools.logger.info(`${what} an instance of the daemon before`, about);
      const reports = new ReportStream({ outbox, clock: tools.clock, instance, after: instance.sequence + RESTART_GAP });
      const facts = { deploymentId, instanceId, epoch, user: started.user, publicKeys: [], loaded };
      this.#hold(
        new HostInstance({ facts, deadline, beginning, containerId, tools, journal, reports, ...this.#listeners(instanceId) }),
        reports,
      );
    }
    if (stop !== undefined && this.#current === undefined) this.#stops.resume(stop);
  }

  /** Waits until nothing runs: with `isNow` the instance is ended, else it ends in its own time. */
  async untilFree(isNow: boolean): Promise<void> {
    if (isNow) this.#current?.end("host_stopped");
    if (isNow) this.trials.cancel();
    await this.#current?.done;
    await this.trials.settled;
    await this.#stops.settled;
  }

  /** Before the daemon ends: leaves to the next daemon what that can adopt, unless told to end it; ends everything else. */
  async close(endInstances: boolean): Promise<void> {
    this.#isClosing = true;
    this.#desired = undefined;
    this.offer.close();
    await Promise.all([this.#part(endInstances), this.#health[Symbol.asyncDispose]()]);
  }

  async #part(endInstances: boolean): Promise<void> {
    this.trials.cancel();
    await this.trials.settled;
    const current = this.#current;
    if (current === undefined) return this.#stops.settled;
    if (endInstances || !current.isAdoptable) current.end("host_stopped");
    else current.leave();
    await current.done;
  }

  get #highestEpoch(): number {
    return this.#options.journal.state.highestEpochs.get(this.deploymentId) ?? 0;
  }

  get #lockout(): DeploymentStatus["lockout"] {
    const own = [...this.#options.journal.state.lockouts.values()].find(({ deploymentId }) => deploymentId === this.deploymentId);
    return own === undefined ? (this.#desired?.lockout ?? null) : { reason: own.reason, actor: own.actor, at: own.at };
  }

  *#instances() {
    for (const instance of this.#options.journal.state.instances.values()) {
      if (instance.deploymentId === this.deploymentId) yield instance;
    }
  }

  #reconcile(): void {
    if (this.#desired === undefined) return;
    for (const action of decideHost(this.#facts(), this.#desired)) this.#do(action);
    this.#partWithDissolved();
  }

  /** Not before all is undone: until then E-stop at this computer has to find it. */
  #partWithDissolved(): void {
    const isBusy = this.#current !== undefined || this.trials.isRunning || this.#stops.isRunning;
    if (!isBusy && !this.#isClosing && this.offer.partWithDissolved()) this.#options.onDissolved(this.deploymentId);
  }

  #facts(): HostFacts {
    const current = this.#current;
    return {
      highestEpoch: this.#highestEpoch,
      current:
        current === undefined
          ? null
          : { instanceId: current.facts.instanceId, epoch: current.facts.epoch, isEnding: current.isEnding, isStopped: current.isStopped },
      refusal: this.#refusal(),
    };
  }

  /** An E-stop or a trial began, or is over, for which an instance may have waited. */
  #onUseChange(): void {
    this.#health.look();
    this.#options.onChange();
    this.#reconcile();
  }

  /** A new epoch may have waited for what is known now. */
  #onOfferChange(): void {
    if ((this.#desired?.instance?.epoch ?? 0) > this.#highestEpoch) this.#reconcile();
    this.#options.onChange();
  }

  #refusal(): HostFacts["refusal"] {
    const lockout = this.#lockout;
    if (this.trials.isRunning) return "undecided"; // two never touch the device at once
    if (this.#stops.isRunning) return { reason: "estop", text: "the hardware is being made safe after an E-stop" };
    if (lockout !== null) return { reason: "init_failed", text: `the deployment is locked out by ${lockout.actor}: ${lockout.reason}` };
    if (this.offer.isUndecided) return "undecided";
    const { problem } = this.offer;
    if (problem !== null) return { reason: "init_failed", text: problem.slice(0, MAX_REPORT_LOG_CHARS) };
    if (!this.offer.isOpen) return { reason: "host_stopped", text: "the host does not offer the deployment now" };
    const { refusal } = this.#health;
    return refusal === null || refusal === "undecided" ? refusal : { reason: "init_failed", text: refusal.text };
  }

  /** Why the hardware may not be moved for a trial now, for people. */
  #whyNoTrial(): string | undefined {
    const lockout = this.#lockout;
    const live = [...this.#instances()].find(isLive);
    if (this.#isClosing) return "the host daemon is ending";
    if (this.offer.isDissolved) return this.offer.problem ?? "the deployment was dissolved";
    if (this.#current !== undefined) return `an instance of ${this.#current.facts.user} runs`;
    if (this.#desired?.instance != null) return `an instance of ${this.#desired.instance.user} is wanted`;
    if (live !== undefined) return "a host daemon was killed while an instance ran: `hardshare ad` goes on with it, or undoes it";
    if (this.#stops.isRunning || this.#stops.unfinished !== undefined) return "the hardware is being made safe after an E-stop";
    if (lockout !== null) return `the deployment is locked out by ${lockout.actor}: ${lockout.reason}`;
    const { refusal } = this.#health;
    return refusal === null || refusal === "undecided" ? undefined : refusal.text;
  }

  #do(action: HostAction): void {
    switch (action.kind) {
      case "launch":
        return this.#launch(action.instance);
      case "update":
        return this.#current?.update(action.instance);
      case "end":
        return this.#current?.end(action.reason);
      case "estop": {
        const { instance } = this.#desired ?? {};
        if (instance == null) return;
        return this.estop({ instance, by: "user", actor: instance.user, lockoutId: estopLockoutOf(instance.instanceId) });
      }
      case "answer_ended":
        void this.#answers.answer(action);
    }
  }

  #launch(desired: DesiredInstance): void {
    const { tools, journal, outbox } = this.#options;
    const { instanceId, epoch, user, publicKeys, lastSequence: after } = desired;
    const { deploymentId } = this;
    const loaded = this.offer.contract;
    const identity = { deploymentId, instanceId, epoch };
    const reports = new ReportStream({ outbox, clock: tools.clock, instance: identity, after });
    const instance = new HostInstance({
      facts: { ...identity, user, publicKeys, loaded },
      deadline: placeDeadline(desired, tools.time()),
      beginning: { kind: "launch" },
      tools,
      journal,
      reports,
      ...this.#listeners(instanceId),
    });
    this.#hold(instance, reports);
    instance.update(desired);
    const warning = warnOfClock(desired, tools.clock.now());
    if (warning !== undefined) reports.add({ kind: "notice", level: "warning", text: warning });
  }

  #listeners(instanceId: InstanceId): Pick<HostInstanceOptions, "lockOut" | "onAlert"> {
    return { lockOut: (reason) => this.#lockOut(instanceId, reason), onAlert: (message) => this.#alerts.add(message) };
  }

  #hold(instance: HostInstance, reports: ReportStream): void {
    this.#current = instance;
    this.#reports = reports;
    this.#health.look();
    this.#options.onChange();
    void instance.done.then(() => {
      if (this.#current === instance) this.#current = undefined;
      this.#health.look();
      this.#options.onChange();
      // What was wanted of it is answered; another one may have waited for its end.
      if (this.#desired?.instance?.instanceId !== instance.facts.instanceId) this.#reconcile();
      else this.#partWithDissolved();
    });
  }

  async #lockOut(instanceId: InstanceId | undefined, why: string, lockoutId?: string): Promise<void> {
    await this.#options.lockOut({ deploymentId: this.deploymentId, instanceId, lockoutId, why });
    this.#health.look();
  }
}

/** Above any number of reports that an instance can have made since its last entry in the journal. */
const RESTART_GAP = 1_000_000;
