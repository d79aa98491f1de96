import { decideHealth, type Health, openStateAt } from "@hardshare/core";
import {
  type DeploymentId,
  describeRest,
  type HostAlert,
  MAX_HOST_ALERTS,
  MAX_REASON_CHARS,
  MAX_REPORT_LOG_CHARS,
  type Monitor,
  type Rest,
  toAppError,
  toStorableText,
} from "@hardshare/protocol";
import type { ReportStream } from "../channel/report-stream.ts";
import type { LoadedContract } from "../contract/load-contract.ts";
import type { HostInstance } from "../instance/host-instance.ts";
import type { HostTools } from "../instance/instance-parts.ts";
import type { Journal } from "../journal/journal.ts";
import type { ProgramOutcome } from "../programs/run-program.ts";
import { LastEnd } from "./last-end.ts";
import { COOLDOWN_EVENT, killMonitors, MONITOR_EVENT, monitorPlace } from "./monitor-place.ts";
import { type MonitorFailure, MonitorSchedule } from "./monitor-schedule.ts";
import { ProgramRounds } from "./program-rounds.ts";

/** Timers do not notice that the wall clock jumped or that the computer slept: so long it may take to be seen. */
const MAX_TIMER_MS = 30_000;

export interface DeploymentHealthOptions {
  deploymentId: DeploymentId;
  tools: HostTools;
  journal: Journal;
  /** What is offered, or was: the contract of the next instance. */
  offer: { readonly isOpen: boolean; readonly isAdvertised: boolean; readonly contract: LoadedContract };
  /** The instance that lasts, and what is told of it. */
  current: () => { instance: HostInstance; reports: ReportStream } | undefined;
  isLockedOut: () => boolean;
  /** Whether an E-stop is under way, with or without an instance: nothing else touches the hardware then. */
  isMakingSafe: () => boolean;
  /** Whether an owner's trial uses the hardware. */
  hasTrial: () => boolean;
  endTrial: () => void;
  /** Locks the deployment out; never rejects. */
  lockOut: (why: string) => Promise<void>;
  /** Something that the owner should look at; it is told to the server already. */
  onAlert: (message: string) => void;
  /** What is told of it has changed. */
  onChange: () => void;
}

/**
 * Whether the hardware of one deployment is well and rested: runs its monitors, acts when one fails, and says when there
 * can be an instance. `look` is called after every change of the offer and of the instance.
 */
export class DeploymentHealth implements AsyncDisposable {
  readonly #options: DeploymentHealthOptions;
  readonly #monitors: MonitorSchedule;
  readonly #lastEnd: LastEnd;
  /** Alerts that no instance's timeline tells. */
  #alerts: HostAlert[] = [];
  /** Whether the program of `cooldown` has yet to say that the hardware is ready. */
  #isWaiting = true;
  #asking: { rounds: ProgramRounds; key: string } | undefined;
  #timer: Disposable | undefined;
  #told = "";
  #wasLockedOut = false;
  #isClosed = false;

  constructor(options: DeploymentHealthOptions) {
    const { clock } = options.tools;
    this.#options = options;
    this.#lastEnd = new LastEnd(clock);
    this.#monitors = new MonitorSchedule({
      clock,
      run: (monitor, index, loaded, signal) => this.#run(monitor, `${MONITOR_EVENT}${index + 1}`, loaded, signal),
      onFailure: (failure) => this.#onFailure(failure),
      onPass: (monitor, isAgain) => this.#onPass(monitor, isAgain),
    });
  }

  /** As the server is told. */
  describe(): { rest: Rest | null; closesAt: string | null; alerts: HostAlert[] } {
    const { rest, closesAtMs } = this.#decide();
    return { rest, closesAt: closesAtMs === null ? null : new Date(closesAtMs).toISOString(), alerts: [...this.#alerts] };
  }

  /** Why there can be no instance now; `undecided`: that is being found out. */
  get refusal(): { text: string } | "undecided" | null {
    const { rest } = this.#decide();
    if (rest !== null) return { text: `the deployment rests ${describeRest(rest)}` };
    return this.#monitors.pending.length > 0 ? "undecided" : null;
  }

  /** Takes over what has changed of the offer, the instance, or the time. */
  look(): void {
    if (this.#isClosed) return;
    const { offer, current, isLockedOut, isMakingSafe } = this.#options;
    const instance = current()?.instance;
    const wasUnlocked = this.#wasLockedOut && !isLockedOut();
    this.#wasLockedOut = isLockedOut();
    // Somebody worked at the hardware meanwhile: what monitors said before counts no more, and a launch waits for them.
    if (wasUnlocked || isMakingSafe()) this.#monitors.set(undefined);
    if (isMakingSafe()) this.#isWaiting = true;
    else if (offer.isOpen) this.#monitors.set(offer.contract);
    else if (!offer.isAdvertised && instance === undefined) this.#monitors.set(undefined);
    else if (instance !== undefined && this.#monitors.loaded === undefined) this.#monitors.set(instance.facts.loaded);
    if (instance !== undefined) this.#isWaiting = true;
    this.#askWhenReady(instance);
    const nowMs = this.#options.tools.clock.now();
    const { hours } = instance?.facts.loaded.contract ?? {};
    const own = hours === undefined ? undefined : openStateAt(hours, nowMs);
    if (own?.isOpen === false) instance?.end("expired");
    const decided = this.#decide();
    this.#arm([decided.changesAtMs, own?.changesAtMs ?? null]);
    const told = JSON.stringify([decided.rest, decided.closesAtMs, this.#alerts, this.#monitors.pending.length]);
    if (told === this.#told) return;
    this.#told = told;
    this.#options.onChange();
  }

  /** Kills at once what runs, for an E-stop that is under way, which it does not run beside. Never rejects. */
  async stop(): Promise<void> {
    const isIdle = this.#asking === undefined && (this.#monitors.loaded?.contract.monitors.length ?? 0) === 0;
    this.look();
    if (isIdle) return;
    const { tools, deploymentId, lockOut } = this.#options;
    await killMonitors(deploymentId, tools.clock).catch((error: unknown) => lockOut(`E-stop: ${toAppError(error).message}`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#timer?.[Symbol.dispose]();
    await Promise.all([this.#monitors[Symbol.asyncDispose](), this.#asking?.rounds[Symbol.asyncDispose]()]);
  }

  #decide(): Health {
    const { offer, journal, deploymentId, tools, current } = this.#options;
    const { cooldown, hours } = offer.contract.contract;
    return decideHealth(
      {
        cooldown,
        hours,
        endedAtMs: this.#lastEnd.atMs(journal.state.lastEnds.get(deploymentId)),
        hasInstance: current() !== undefined,
        isWaitingForProgram: this.#isWaiting,
        unfit: this.#monitors.unfit,
      },
      tools.clock.now(),
    );
  }

  /** Runs the program of `cooldown` until it says that the hardware is ready: never beside an instance, an E-stop, or while locked out. */
  #askWhenReady(instance: HostInstance | undefined): void {
    const { offer, tools, isLockedOut, isMakingSafe, hasTrial } = this.#options;
    const { cooldown } = offer.contract.contract;
    const isFree = instance === undefined && offer.isAdvertised && !hasTrial() && !isMakingSafe() && !isLockedOut();
    const program = typeof cooldown === "object" && isFree && this.#isWaiting ? cooldown : undefined;
    const key = program === undefined ? undefined : JSON.stringify([program, offer.contract.folder]);
    if (key === this.#asking?.key) return;
    const before = this.#asking?.rounds[Symbol.asyncDispose]();
    this.#asking = undefined;
    if (program === undefined || key === undefined) return;
    const loaded = offer.contract;
    const rounds = new ProgramRounds({
      everyS: program.every,
      clock: tools.clock,
      run: async (signal) => {
        await before;
        return this.#run(program, COOLDOWN_EVENT, loaded, signal);
      },
      onOutcome: (outcome) => {
        if (!outcome.isOk)
          return tools.logger.debug("the hardware is not ready yet", { deployment: this.#options.deploymentId, ...outcome });
        this.#isWaiting = false;
        this.look();
      },
    });
    this.#asking = { rounds, key };
  }

  #run(program: { run: string; timeout: number }, event: string, loaded: LoadedContract, signal: AbortSignal): Promise<ProgramOutcome> {
    const { tools, deploymentId } = this.#options;
    const { logger } = tools;
    const onOutput = (text: string) => logger.debug(text.trimEnd(), { deployment: deploymentId, program: program.run });
    const { run, timeout } = program;
    return tools.runProgram(
      { run, timeout },
      { place: monitorPlace(tools, deploymentId, event, loaded), clock: tools.clock, signal, onOutput },
    );
  }

  #onFailure({ monitor, isNew, message, log }: MonitorFailure): void {
    const { tools, deploymentId, lockOut, isLockedOut } = this.#options;
    const text = `monitor failed: ${message}${log === "" ? "" : `\n${log}`}`;
    const mustLock = monitor.on_fail === "lock" && !isLockedOut();
    if (isNew || mustLock) tools.logger.warn(text, { deployment: deploymentId });
    if (mustLock) {
      this.#notice("warning", text);
      void lockOut(`monitor failed: ${message}`); // which alerts
    } else if (isNew) this.#alert(text);
    if (monitor.on_fail === "terminate") {
      this.#options.current()?.instance.end("monitor");
      this.#options.endTrial();
    }
    this.look();
  }

  #onPass({ run }: Monitor, isAgain: boolean): void {
    if (isAgain) {
      this.#options.tools.logger.info(`monitor passes again: ${run}`, { deployment: this.#options.deploymentId });
      this.#notice("info", `monitor passes again: ${run}`);
    }
    this.look();
  }

  /** On the timeline of the instance; without one, as a word of the host. */
  #alert(text: string): void {
    if (this.#notice("alert", text)) return this.#options.onAlert(text);
    const { random, clock } = this.#options.tools;
    const message = toStorableText(text.slice(0, MAX_REASON_CHARS));
    this.#alerts.push({ id: random.uuid(), at: new Date(clock.now()).toISOString(), message });
    this.#alerts = this.#alerts.slice(-MAX_HOST_ALERTS);
    this.#options.onAlert(text);
  }

  /** @returns whether there is an instance that is not over */
  #notice(level: "info" | "warning" | "alert", text: string): boolean {
    const current = this.#options.current();
    if (current === undefined || current.instance.isEnding) return false;
    current.reports.add({ kind: "notice", level, text: text.slice(0, MAX_REPORT_LOG_CHARS) });
    return true;
  }

  #arm(times: readonly (number | null)[]): void {
    this.#timer?.[Symbol.dispose]();
    const { clock } = this.#options.tools;
    const nextMs = Math.min(...times.map((time) => time ?? Infinity));
    this.#timer = nextMs === Infinity ? undefined : clock.after(Math.min(nextMs - clock.now(), MAX_TIMER_MS), () => this.look());
  }
}
