import { type Deadline, placeDeadline, replaceDeadline } from "@hardshare/core";
import {
  AppError,
  type DesiredInstance,
  type EndReason,
  type HostPhase,
  MAX_REASON_CHARS,
  MAX_REPORT_LOG_CHARS,
  toAppError,
} from "@hardshare/protocol";
import { Deferred } from "@hardshare/runtime";
import type { ReportStream } from "../channel/report-stream.ts";
import type { ContainerExit } from "../engine/engine.ts";
import type { Journal } from "../journal/journal.ts";
import { killLabelledProcesses } from "../programs/labelled-processes.ts";
import { DeadlineWatch } from "./deadline-watch.ts";
import { endActions } from "./end-actions.ts";
import { describe, executeEnd, executeLaunch, type LaunchOutcome, type StepReporter } from "./execute.ts";
import { runHostPrograms } from "./host-programs.ts";
import { type HostTools, type InstanceFacts, InstanceParts } from "./instance-parts.ts";
import { launchActions } from "./launch-actions.ts";
import { adoptionPlan, endPlan, launchPlan } from "./plan.ts";

/** How an instance begins at this daemon. */
export type Beginning =
  /** Written to the journal, then launched. */
  | { kind: "launch" }
  /** Its container outlived the daemon that launched it. */
  | { kind: "adopt"; containerId: string }
  /** It cannot be adopted: whatever is left of it is undone. */
  | { kind: "clean_up"; reason: EndReason; problem?: string | undefined };

export interface HostInstanceOptions {
  facts: InstanceFacts;
  deadline: Deadline;
  beginning: Beginning;
  tools: HostTools;
  journal: Journal;
  reports: ReportStream;
  /** Locks the deployment out: journals it and tells the server. Never rejects. */
  lockOut: (reason: string) => Promise<void>;
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
  readonly #watch: DeadlineWatch;
  readonly #stop = new AbortController();
  readonly #parting = new Deferred<"end" | "leave">();
  readonly #runningSteps = new Set<string>();
  #phase: HostPhase = "accepted";
  #reason: EndReason | undefined;
  #failure: { step: string; error: AppError } | undefined;
  /** Whether anything was done that has to be undone. */
  #hasBegun: boolean;
  /** Services, and the relay, that ended by themselves and do not yet run again. */
  readonly #lost = new Set<string>();

  constructor(options: HostInstanceOptions) {
    const { facts, tools } = options;
    this.facts = facts;
    this.#options = options;
    this.#hasBegun = options.beginning.kind !== "launch";
    this.#parts = new InstanceParts(facts, tools, {
      onServiceLost: (name, how) => this.#onServiceLost(name, how),
      onServiceRestored: (name) => this.#onServiceRestored(name),
      onServiceOutput: (name, text) => options.reports.add({ kind: "log", step: `service ${name}`.slice(0, 64), text }),
      onRelayLost: (how) => {
        if (this.#isNewlyLost("relay")) this.#notice("warning", `${how}; SSH connections were cut, it is started again`);
      },
      onRelayRestored: () => {
        this.#lost.delete("relay");
        this.#notice("info", "the relay runs again");
      },
      onTunnelBroken: (isBroken) =>
        this.#notice("info", isBroken ? "the tunnel to the hub broke; dialling again" : "the tunnel stands again"),
      warn: (message) => this.#notice("warning", message),
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

  get isEnding(): boolean {
    return this.#reason !== undefined;
  }

  /** Wall time of its end in milliseconds since 1970. */
  get deadlineMs(): number {
    return this.#watch.deadline.wallMs;
  }

  /** Names of the steps that run now. */
  get runningSteps(): string[] {
    return [...this.#runningSteps];
  }

  /** Whether the next daemon could adopt it. */
  get isAdoptable(): boolean {
    return this.#phase === "up" && !this.isEnding && !this.#parts.isProxy;
  }

  /** Takes over what the server may change while it runs. */
  update(desired: DesiredInstance): void {
    this.#options.reports.continueAbove(desired.lastSequence);
    this.#parts.tunnel.setTarget(desired.tunnel);
    const known = this.#watch.deadline;
    const deadline = replaceDeadline(known, placeDeadline(desired, this.#options.tools.time()));
    this.#watch.move(deadline);
    if (deadline.wallMs !== known.wallMs && this.#hasBegun) {
      void this.#options.journal.record({ kind: "moved", instanceId: this.facts.instanceId, deadline });
    }
  }

  /** Ends it, whatever it is doing: a running step is stopped first. The first reason holds. */
  end(reason: EndReason): void {
    if (this.isEnding) return;
    this.#reason = reason;
    this.#stop.abort();
    this.#parting.resolve("end");
  }

  /** Stops working on it, but leaves its container for the next daemon; only for one that is adoptable. */
  leave(): void {
    this.#parting.resolve("leave");
  }

  /** Its container ended by itself. */
  onContainerExit(exit: ContainerExit): void {
    if (exit.id !== this.#parts.containerId || this.isEnding) return;
    const message = `the container ended with exit code ${exit.exitCode ?? "unknown"}`;
    this.#parts.containerLife.abort(new AppError("engine_failed", message));
    if (this.#phase !== "up") return; // the launch step that needs it fails
    this.#notice("warning", message);
    this.end("container_died");
  }

  async #live(): Promise<void> {
    try {
      const outcome = await this.#begin();
      if (outcome.kind === "failed") {
        this.#failure = outcome;
        this.end(this.#options.beginning.kind === "adopt" ? "host_restarted" : "init_failed");
      }
      if (outcome.kind === "done" && (await this.#beUp()) === "leave") return await this.#part();
      await this.#finish();
    } catch (error) {
      // A fault of ours: what is left is unknown, and says so.
      this.#options.tools.logger.error("an instance could not be ended in order", { instance: this.facts.instanceId, error });
      await this.#recordEnd([`internal: ${toAppError(error).message}`]);
    } finally {
      this.#watch[Symbol.dispose]();
    }
  }

  async #begin(): Promise<LaunchOutcome> {
    const { beginning, journal, reports, tools, deadline } = this.#options;
    const { loaded, publicKeys: _, ...identity } = this.facts;
    const execution = { actions: launchActions(this.#parts), reporter: this.#reporter(), ...tools, signal: this.#stop.signal };
    if (beginning.kind === "clean_up") {
      this.end(beginning.reason);
      return { kind: "cancelled" };
    }
    if (beginning.kind === "adopt") {
      this.#parts.containerId = beginning.containerId;
      await killLabelledProcesses(identity.instanceId, tools.clock); // the filters of the daemon before
      return executeLaunch({ ...execution, plan: adoptionPlan(loaded.contract) });
    }
    try {
      const at = new Date(tools.clock.now()).toISOString();
      const { text: contract, folder } = loaded;
      await journal.append({ kind: "started", at, ...identity, deadline, contract, folder, sequence: reports.sequence });
    } catch (error) {
      return { kind: "failed", step: "journal", error: toAppError(error) };
    }
    this.#hasBegun = true;
    reports.add({ kind: "accepted" });
    return executeLaunch({ ...execution, plan: launchPlan(loaded.contract) });
  }

  /** @returns how it parts */
  async #beUp(): Promise<"end" | "leave"> {
    const { journal, reports, beginning } = this.#options;
    const { hostKeys, tunnel } = this.#parts;
    const up = { kind: "up", instanceId: this.facts.instanceId, hostKeys, sequence: reports.sequence } as const;
    await journal.record(up);
    if (this.isEnding) return "end";
    this.#phase = "up";
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
    const { journal, beginning, tools } = this.#options;
    this.#phase = "ending";
    let residue: string[] = [];
    if (this.#hasBegun) {
      await journal.record({ kind: "ending", instanceId: this.facts.instanceId, reason: this.#reason ?? "host_stopped" });
      residue = await executeEnd({
        ...tools,
        plan: endPlan(this.#parts.contract, beginning.kind === "clean_up"),
        actions: endActions(this.#parts),
        reporter: this.#reporter(),
      });
    }
    if (beginning.kind === "clean_up" && beginning.problem !== undefined) residue.push(beginning.problem);
    await this.#recordEnd(residue);
  }

  async #recordEnd(residue: string[]): Promise<void> {
    const { journal, reports, lockOut, tools } = this.#options;
    const failure = this.#failure;
    if (residue.length > 0) await lockOut(`not everything could be undone: ${residue.join("; ")}`);
    else if (failure?.error.details["locks"] === true) await lockOut(`${failure.step}: ${failure.error.message}`);
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

  /** Closes all but the container. Without its filters the hardware is made safe. */
  async #part(): Promise<void> {
    const actions = endActions(this.#parts);
    const context = { signal: new AbortController().signal, log: () => {} };
    const steps = ["filters", "tunnel", "relay"] as const;
    for (const step of this.#parts.contract.services.length === 0 ? steps : ([...steps, "safe_state"] as const)) {
      try {
        await actions[step](context);
      } catch (error) {
        this.#options.tools.logger.error("a running instance was not left in order", { instance: this.facts.instanceId, step, error });
      }
    }
  }

  #onServiceLost(name: string, how: string): void {
    if (this.isEnding || !this.#isNewlyLost(`service ${name}`)) return;
    this.#notice("alert", `${how}: nothing passes service ${name} until it runs again`);
    if (this.#parts.contract.safe_state.length === 0) return;
    this.#parts.safeState = this.#parts.safeState.then(() => this.#makeSafe());
  }

  #onServiceRestored(name: string): void {
    this.#lost.delete(`service ${name}`);
    this.#notice("info", `service ${name} runs again`);
  }

  /** False for a further failed attempt to start it again, of which people were told. */
  #isNewlyLost(name: string): boolean {
    const isNew = !this.#lost.has(name);
    this.#lost.add(name);
    return isNew;
  }

  async #makeSafe(): Promise<void> {
    const reporter = this.#reporter();
    const { clock } = this.#options.tools;
    const startedAt = clock.monotonicMs();
    reporter.step("safe_state", "started", {});
    try {
      const context = { signal: new AbortController().signal, log: (text: string) => reporter.log("safe_state", text) };
      await runHostPrograms(this.#parts, "safe_state", context);
      reporter.step("safe_state", "done", { ms: clock.monotonicMs() - startedAt });
    } catch (error) {
      const failure = toAppError(error);
      reporter.step("safe_state", "failed", { ms: clock.monotonicMs() - startedAt, log: describe(failure) });
      await this.#options.lockOut(`safe_state: ${failure.message}`);
      this.end("filter_lost");
    }
  }

  #notice(level: "info" | "warning" | "alert", text: string): void {
    if (this.#phase === "ended") return;
    this.#options.reports.add({ kind: "notice", level, text: text.slice(0, MAX_REPORT_LOG_CHARS) });
  }

  #reporter(): StepReporter {
    const { reports } = this.#options;
    return {
      step: (step, phase, { ms, log }) => {
        if (phase === "started") this.#runningSteps.add(step);
        else this.#runningSteps.delete(step);
        reports.add({
          kind: "step",
          step,
          phase,
          ...(ms === undefined ? {} : { ms: Math.round(ms * 10) / 10 }),
          ...(log === undefined ? {} : { log }),
        });
      },
      log: (step, text) => reports.add({ kind: "log", step, text }),
    };
  }
}
