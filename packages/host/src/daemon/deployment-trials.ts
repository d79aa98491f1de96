import { AppError, type DeploymentId, type ReportBody, toAppError } from "@hardshare/protocol";
import type { HostInstance } from "../instance/host-instance.ts";
import type { HostTools } from "../instance/instance-parts.ts";
import { findMarkedTrial, trialFolder, type TrialPlan } from "../trial/trial-mark.ts";
import { Trial, type TrialResult } from "../trial/trial.ts";
import type { NewLockout } from "./server-link.ts";

interface DeploymentTrialsOptions {
  deploymentId: DeploymentId;
  tools: HostTools;
  /** Never rejects. */
  lockOut(lockout: NewLockout): Promise<void>;
  /** Why the hardware may not be moved now; undefined when it may. */
  whyNot: () => string | undefined;
  /** One began, or is over. */
  onChange: () => void;
}

export interface TrialRun extends TrialPlan {
  /** Aborting ends it; all is undone all the same. */
  signal: AbortSignal;
  /** What its timeline would say. */
  onReport: (body: ReportBody) => void;
}

/** The trials of one deployment, one at a time, and never beside an instance. */
export class DeploymentTrials {
  readonly #options: DeploymentTrialsOptions;
  #stop = new AbortController();
  #isRunning = false;
  #trial: Trial | undefined;
  #settled: Promise<unknown> = Promise.resolve();

  constructor(options: DeploymentTrialsOptions) {
    this.#options = options;
  }

  /** Whether one runs or is about to: nothing may be launched. */
  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** The one that runs. */
  get instance(): HostInstance | undefined {
    return this.#trial?.instance;
  }

  /** Settles when none runs; never rejects. */
  get settled(): Promise<unknown> {
    return this.#settled;
  }

  /**
   * Looks whether one was killed with the process that ran it, and if so undoes it, as the end of an instance does. An
   * instance that is wanted waits. @returns when that has begun; `settled` when it is over
   */
  async restore(): Promise<void> {
    const { deploymentId, tools } = this.#options;
    const unreadable = (error: unknown) => this.#lockOut(`what it was made of cannot be read: ${toAppError(error).message}`);
    const plan = await findMarkedTrial(trialFolder(tools.stateFolder, deploymentId)).catch(unreadable);
    if (plan === undefined) return;
    tools.logger.warn("undoing a trial that was killed", { deployment: deploymentId });
    this.#isRunning = true;
    const begun = this.#begin({ ...plan, signal: new AbortController().signal, onReport: () => {} }, "clean_up");
    this.#settled = begun
      .then((trial) => trial.done)
      .catch((error: unknown) => this.#lockOut(toAppError(error).message))
      .finally(() => this.#onOver());
    await begun.catch(() => {});
  }

  /** Launches and ends one. @throws AppError `wrong_state` when the hardware may not be moved now, with the reason */
  async run(run: TrialRun): Promise<TrialResult> {
    this.#throwUnlessFree();
    if (this.#isRunning) throw new AppError("wrong_state", "another trial of this deployment runs");
    this.#isRunning = true;
    this.#stop = new AbortController();
    this.#options.onChange();
    const running = this.#run({ ...run, signal: AbortSignal.any([run.signal, this.#stop.signal]) });
    this.#settled = running.catch(() => {});
    return running;
  }

  /** Ends the one that runs. */
  cancel(): void {
    this.#stop.abort();
  }

  async #run(run: TrialRun): Promise<TrialResult> {
    const cancel = () => this.#trial?.cancel();
    try {
      const trial = await this.#begin(run, "launch");
      run.signal.addEventListener("abort", cancel, { once: true });
      if (run.signal.aborted) cancel();
      return await trial.done;
    } finally {
      run.signal.removeEventListener("abort", cancel);
      this.#onOver();
    }
  }

  async #begin({ loaded, isWhole, signal, onReport }: TrialRun, beginning: "launch" | "clean_up"): Promise<Trial> {
    const { deploymentId, tools } = this.#options;
    this.#trial = await Trial.begin({
      deploymentId,
      plan: { loaded, isWhole },
      beginning,
      tools,
      lockOut: (why) => this.#lockOut(why),
      onReport,
      // While it was made ready somebody may have pressed E-stop, or ended it.
      throwUnlessFree: () => {
        if (beginning === "clean_up") return; // whatever is wanted, it comes first
        this.#throwUnlessFree();
        if (signal.aborted) throw new AppError("cancelled", "the trial was cancelled");
      },
    });
    return this.#trial;
  }

  #onOver(): void {
    this.#trial = undefined;
    this.#isRunning = false;
    this.#options.onChange();
  }

  async #lockOut(why: string): Promise<undefined> {
    const { deploymentId } = this.#options;
    await this.#options.lockOut({ deploymentId, why: `after a trial: ${why}` });
  }

  #throwUnlessFree(): void {
    const why = this.#options.whyNot();
    if (why !== undefined) throw new AppError("wrong_state", why);
  }
}
