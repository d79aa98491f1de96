import { type Deadline, placeDeadline, replaceDeadline } from "@hardshare/core";
import {
  AppError,
  type DesiredInstance,
  type EndReason,
  type HostPhase,
  MAX_REASON_CHARS,
  type Heartbeat,
  MAX_REPORT_LOG_CHARS,
  type ServiceTraffic,
  toAppError,
} from "@hardshare/protocol";
import { Deferred } from "@hardshare/runtime";
import type { ReportStream } from "../channel/report-stream.ts";
import type { ContainerExit } from "../engine/engine.ts";
import type { Journal } from "../journal/journal.ts";
import type { Beginning } from "./beginning.ts";
import { LABELS } from "./container-steps.ts";
import { DeadlineWatch } from "./deadline-watch.ts";
import { describe, executeEnd, executeLaunch, isLocking, type LaunchOutcome, type StepFailure } from "./execute.ts";
import { type HostTools, type InstanceFacts, InstanceParts } from "./instance-parts.ts";
import type { InstanceWorks } from "./instance-works.ts";
import { adoptionPlan, endPlan, launchPlan } from "./plan.ts";
import { rereadRules, type RereadRules } from "./reread-rules.ts";
import { Safeguards } from "./safeguards.ts";
import { ServiceReports } from "./service-reports.ts";
import { TimelineReporter } from "./timeline-reporter.ts";

export interface HostInstanceOptions {
  facts: InstanceFacts;
  deadline: Deadline;
  beginning: Beginning;
  /** Of the daemon before, as far as the journal says. */
  containerId?: string | undefined;
  tools: HostTools;
  journal: Journal;
  reports: ReportStream;
  /** Locks the deployment out: journals it and tells the server. Never rejects. */
  lockOut: (reason: string) => Promise<void>;
  /** Something that the owner should look at; it is on the timeline already. */
  onAlert: (message: string) => void;
}

/**
 * One instance at its host, from its first step until nothing is left of it: launches, watches, ends, and tells all of
 * it to journal and server. It decides nothing about whether it should run.
 */
export class HostInstance {
  readonly facts: InstanceFacts;
  /** Settles when it has ended and everything is recorded, or when it was left for the next daemon; never rejects. */
  readonly done: Promise<void>;
  readonly #options: HostInstanceOptions;
  readonly #parts: InstanceParts;
  readonly #works: InstanceWorks;
  readonly #safeguards: Safeguards;
  readonly #services: ServiceReports;
  readonly #reporter: TimelineReporter;
  readonly #watch: DeadlineWatch;
  readonly #stop = new AbortController();
  /** Aborted with the failure when a launch lost what a step had made. */
  readonly #broken = new AbortController();
  readonly #parting = new Deferred<"end" | "leave">();
  #isLeaving = false;
  #phase: HostPhase = "accepted";
  #reason: EndReason | undefined;
  #failure: StepFailure | undefined;
  #isStopped = false;
  /** Whether all is undone, so that an E-stop finds nothing to stop. */
  #isOver = false;
  /** Whether anything was done that has to be undone. */
  #hasBegun: boolean;
  /** What went wrong beside the steps of the end; what is left then is unknown. */
  readonly #problems: string[] = [];

  constructor(options: HostInstanceOptions) {
    const { facts, tools, reports } = options;
    this.facts = facts;
    this.#options = options;
    this.#hasBegun = options.beginning.kind !== "launch";
    this.#parts = new InstanceParts(facts, tools, {
      onServiceLost: (name, how) => this.#onServiceLost(name, how),
      onServiceRestored: (name) => this.#safeguards.losses.onServiceRestored(name),
      onServiceOutput: (name, text) => this.#services.onOutput(name, text),
      onServiceReport: (name, report) => {
        this.#services.onReport(name, report);
        this.#safeguards.onReport(name, report);
      },
      onServiceTapped: (name, direction, chunk) => this.#services.onTapped(name, direction, chunk),
      onServiceClosed: (traffic) => this.#services.onClosed(traffic),
      onRelayLost: (how) => this.#safeguards.losses.onRelayLost(how),
      onRelayRestored: () => this.#safeguards.losses.onRelayRestored(),
      onLinkLost: (how) => this.#safeguards.losses.onLinkLost(how),
      onLinkRestored: () => this.#safeguards.losses.onLinkRestored(),
      onRulesRestored: () =>
        this.#notice("alert", "the packet rules of this computer had been changed by another program; they were restored at once"),
      onDeviceFileLost: (inside) =>
        this.#notice("alert", `what keeps the device file ${inside} ended: it answers with errors until the end of this instance`),
      onTunnelBroken: (isBroken) =>
        this.#notice("info", isBroken ? "the tunnel to the hub broke; dialling again" : "the tunnel stands again"),
      warn: (message) => this.#notice("warning", message),
    });
    this.#parts.containerId = options.containerId;
    this.#works = tools.works(this.#parts);
    this.#reporter = new TimelineReporter(reports);
    this.#services = new ServiceReports({ reports, clock: tools.clock, notice: (level, text) => this.#notice(level, text) });
    this.#safeguards = new Safeguards({
      parts: this.#parts,
      works: this.#works,
      reporter: this.#reporter,
      notice: (level, text) => this.#notice(level, text),
      isEnding: () => this.isEnding,
      lockOut: options.lockOut,
      end: (reason) => this.end(reason),
    });
    this.#watch = new DeadlineWatch({
      deadline: options.deadline,
      clock: tools.clock,
      time: tools.time,
      onOver: () => this.end("expired"),
    });
    this.done = this.#live();
  }

  get phase(): HostPhase {
    return this.#phase;
  }

  /** Whether an E-stop was pressed. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  get isEnding(): boolean {
    return this.#reason !== undefined;
  }

  /** Wall time of its end in milliseconds since 1970. */
  get deadlineMs(): number {
    return this.#watch.deadline.wallMs;
  }

  /** Names of the steps that run now. */
  get runningSteps(): string[] {
    return this.#reporter.runningSteps;
  }

  /** How much went through each of its services. */
  get traffic(): ServiceTraffic[] {
    return this.#parts.services.map((service) => service.traffic);
  }

  /** Whether the next daemon could adopt it; also while this one does so. */
  get isAdoptable(): boolean {
    const isUp = this.#phase === "up" || (this.#phase === "accepted" && this.#options.beginning.kind === "adopt");
    return isUp && !this.isEnding && !this.#parts.isProxy;
  }

  /** Takes over what the server may change while it runs. */
  update(desired: DesiredInstance): void {
    this.#options.reports.continueAbove(desired.lastSequence);
    this.#safeguards.publicKeys = desired.publicKeys;
    this.#parts.tunnel.setTarget(desired.tunnel);
    const known = this.#watch.deadline;
    const deadline = replaceDeadline(known, placeDeadline(desired, this.#options.tools.time()));
    this.#watch.move(deadline);
    if (deadline.wallMs !== known.wallMs && this.#hasBegun) this.#recordDeadline();
  }

  /** Has its filters read their rules again. */
  rereadRules(): Promise<RereadRules[]> {
    return rereadRules(this.#parts);
  }

  /** Ends it, whatever it is doing: nothing more reaches the hardware, and a running step is stopped. The first reason holds. */
  end(reason: EndReason): void {
    if (this.isEnding) return;
    this.#reason = reason;
    // Before anything that takes time, such as the journal: what waits in sockets comes from somebody who has no right any more.
    for (const service of this.#parts.services) service.cut();
    this.#stop.abort();
    this.#parting.resolve("end");
  }

  /**
   * Stops it at once, whatever it is doing, makes the hardware safe, and ends it.
   * @param why for people
   * @param lock journals the lock-out that it means, if it does; never rejects
   * @returns false when it has ended already, and nothing of it can be stopped
   */
  estop(why: string, lock: (() => Promise<void>) | undefined): boolean {
    if (this.#isOver) return false;
    this.#isStopped = true;
    this.#reason = "estop";
    this.#safeguards.emergencyStop.press(lock);
    this.#notice("alert", why);
    // The next daemon has to know it too, should this one be killed, or be leaving it just now.
    void this.#options.journal.record({ kind: "ending", instanceId: this.facts.instanceId, reason: "estop" });
    this.#stop.abort();
    this.#parting.resolve("end");
    return true;
  }

  /** Stops working on it, but leaves its container for the next daemon; only for one that is adoptable. */
  leave(): void {
    this.#isLeaving = true;
    this.#stop.abort();
    this.#parting.resolve("leave");
  }

  /** Its container ended by itself. */
  onContainerExit(exit: ContainerExit): void {
    // By its label: while it is adopted, its id is not yet known.
    if (exit.labels[LABELS.instance] !== this.facts.instanceId || this.isEnding) return;
    const message = `the container ended with exit code ${exit.exitCode ?? "unknown"}`;
    this.#parts.containerLife.abort(new AppError("engine_failed", message));
    if (this.#phase === "up") this.#onContainerDied(); // else the launch step that needs it fails
  }

  /** The user's program says that somebody is there. */
  onHeartbeat(heartbeat: Heartbeat): void {
    if (this.#phase === "up" && heartbeat.epoch === this.facts.epoch) this.#safeguards.onHeartbeat(heartbeat);
  }

  async #live(): Promise<void> {
    try {
      const outcome = await this.#begin();
      if (outcome.kind === "cancelled") this.#failure = outcome.failure;
      if (outcome.kind === "failed") this.#failLaunch(outcome);
      else if (this.#isLeaving) return await this.#part();
      if (outcome.kind === "done" && (await this.#beUp()) === "leave") return await this.#part();
      await this.#finish();
    } catch (error) {
      // A fault of ours: what is left is unknown, and says so.
      this.#options.tools.logger.error("an instance could not be ended in order", { instance: this.facts.instanceId, error });
      this.#problems.push(`internal: ${toAppError(error).message}`);
      await this.#finish().catch(() => this.#recordEnd([]));
    } finally {
      this.#watch[Symbol.dispose]();
      this.#safeguards[Symbol.dispose]();
    }
  }

  async #begin(): Promise<LaunchOutcome> {
    const { beginning, journal, reports, tools, deadline } = this.#options;
    const { loaded, publicKeys: _, isTrial: _isTrial, ...identity } = this.facts;
    const execution = {
      actions: this.#works.launch,
      reporter: this.#reporter,
      ...tools,
      signal: this.#stop.signal,
      broken: this.#broken.signal,
    };
    if (beginning.kind === "clean_up") {
      if (beginning.problem !== undefined) this.#problems.push(beginning.problem);
      this.#isStopped ||= beginning.reason === "estop"; // the daemon before was told; the end makes the hardware safe
      this.end(beginning.reason);
      await this.#works.endFormer().catch((error: unknown) => this.#problems.push(toAppError(error).message));
      return { kind: "cancelled" };
    }
    if (beginning.kind === "adopt") {
      try {
        await this.#works.endFormer();
      } catch (error) {
        return { kind: "failed", step: "filters", error: toAppError(error) };
      }
      return executeLaunch({ ...execution, plan: adoptionPlan(loaded.contract) });
    }
    let step = "programs";
    try {
      await tools.checkPrograms(loaded); // they were there when it was offered
      step = "journal";
      const at = new Date(tools.clock.now()).toISOString();
      const { text: contract, folder } = loaded;
      await journal.append({ kind: "started", at, ...identity, deadline, contract, folder, sequence: reports.sequence });
    } catch (error) {
      return { kind: "failed", step, error: toAppError(error) };
    }
    this.#hasBegun = true;
    if (this.#watch.deadline.wallMs !== deadline.wallMs) this.#recordDeadline(); // moved while that was written
    reports.add({ kind: "accepted" });
    return executeLaunch({ ...execution, plan: launchPlan(loaded.contract) });
  }

  /** @returns how it parts */
  async #beUp(): Promise<"end" | "leave"> {
    const { journal, reports, beginning } = this.#options;
    const { hostKeys, tunnel } = this.#parts;
    const { instanceId } = this.facts;
    const container = this.#parts.containerId === undefined ? {} : { containerId: this.#parts.containerId };
    await journal.record({ kind: "up", instanceId, hostKeys, ...container, sequence: reports.sequence });
    if (this.#broken.signal.aborted && !this.isEnding) this.#failLaunch(this.#broken.signal.reason as StepFailure);
    if (this.#parts.containerLife.signal.aborted) this.#onContainerDied();
    if (this.isEnding) return "end";
    if (this.#isLeaving) return "leave";
    this.#phase = "up";
    this.#safeguards.announce();
    if (beginning.kind === "adopt") {
      this.#notice("info", "adopted: the host daemon was restarted, the container went on");
      tunnel.open();
      void tunnel.bound.then(() => this.#phase === "up" && reports.add({ kind: "up", hostKeys }));
    } else {
      reports.add({ kind: "up", hostKeys });
    }
    return this.#parting.promise;
  }

  async #finish(): Promise<void> {
    const isBegun = this.#hasBegun && this.#phase !== "ending"; // a second time only after a fault
    const wasUp = this.#phase === "up";
    this.#phase = "ending";
    if (!isBegun) return this.#recordEnd([]);
    const { journal, tools } = this.#options;
    await journal.record({ kind: "ending", instanceId: this.facts.instanceId, reason: this.#reason ?? "host_stopped" });
    const residue = await executeEnd({
      ...tools,
      plan: endPlan(this.#parts.contract, this.#mustMakeSafe(wasUp)),
      actions: this.#works.end,
      reporter: this.#reporter,
    });
    await this.#recordEnd(residue);
  }

  /** Whether filters ended without anybody's doing, and nobody made the hardware safe since. */
  #mustMakeSafe(wasUp: boolean): boolean {
    const { kind } = this.#options.beginning;
    if (this.#safeguards.emergencyStop.isPressed) return false; // that is under way, or done
    if (kind === "adopt") return !wasUp && !this.#parts.isMadeSafe;
    return kind === "clean_up" || this.#broken.signal.aborted;
  }

  async #recordEnd(undone: readonly string[]): Promise<void> {
    const { journal, reports, lockOut, tools } = this.#options;
    await this.#parts.untilSafe(); // an E-stop may come at the very end
    this.#isOver = true;
    this.#services[Symbol.dispose]();
    const residue = [...undone, ...this.#problems];
    const failure = this.#failure;
    if (residue.length > 0) await lockOut(`not everything could be undone: ${residue.join("; ")}`);
    else if (failure !== undefined && isLocking(failure.error)) await lockOut(`${failure.step}: ${failure.error.message}`);
    const { deploymentId, instanceId, epoch } = this.facts;
    const end = {
      reason: this.#reason ?? "host_stopped",
      ...(failure === undefined ? {} : { failedStep: failure.step, log: describe(failure.error) }),
      clean: residue.length === 0,
      residue: residue.slice(0, 32).map((text) => text.slice(0, MAX_REASON_CHARS)),
    };
    const sequence = reports.reserve();
    const at = new Date(tools.clock.now()).toISOString();
    const problem = await journal.record({ kind: "ended", at, deploymentId, instanceId, epoch, sequence, ...end });
    if (problem !== undefined)
      tools.logger.error("the end of an instance is not yet in the journal", { instance: instanceId, error: problem });
    this.#phase = "ended";
    reports.addNumbered(sequence, { kind: "ended", ...end });
  }

  /** Closes all but the container. Without its filters the hardware is made safe, once programs that do so already are done. */
  async #part(): Promise<void> {
    const context = { signal: new AbortController().signal, log: () => {} };
    const steps = ["filters", "tunnel", "relay", "link"] as const;
    for (const step of this.#parts.contract.services.length === 0 ? steps : ([...steps, "safe_state"] as const)) {
      try {
        if (step === "safe_state") await this.#parts.safeState;
        await this.#works.end[step](context);
      } catch (error) {
        this.#options.tools.logger.error("a running instance was not left in order", { instance: this.facts.instanceId, step, error });
      }
    }
  }

  /** Before READY it fails the launch: programs that make the hardware safe never run beside those that prepare it. */
  #onServiceLost(name: string, how: string): void {
    const isLaunching = this.#phase === "accepted" && this.#options.beginning.kind === "launch";
    if (!isLaunching) return this.#safeguards.losses.onServiceLost(name, how);
    const error = new AppError("program_failed", `${how} before the instance was ready`);
    this.#broken.abort({ step: "filters", error } satisfies StepFailure);
  }

  #onContainerDied(): void {
    if (this.isEnding) return;
    this.#notice("warning", toAppError(this.#parts.containerLife.signal.reason).message);
    this.end("container_died");
  }

  #failLaunch({ step, error }: StepFailure): void {
    this.#failure = { step, error };
    this.end(this.#options.beginning.kind === "adopt" ? "host_restarted" : "init_failed");
  }

  #recordDeadline(): void {
    const { deadline } = this.#watch;
    void this.#options.journal.record({ kind: "moved", instanceId: this.facts.instanceId, deadline });
  }

  #notice(level: "info" | "warning" | "alert", text: string): void {
    if (this.#phase === "ended") return;
    this.#options.reports.add({ kind: "notice", level, text: text.slice(0, MAX_REPORT_LOG_CHARS) });
    if (level === "alert") this.#options.onAlert(text);
  }
}
