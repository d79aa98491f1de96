import { AppError, type DeploymentId, type ReportBody } from "@hardshare/protocol";
import type { LoadedContract } from "../contract/load-contract.ts";
import type { HostInstance } from "../instance/host-instance.ts";
import type { HostTools } from "../instance/instance-parts.ts";
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

export interface TrialRun {
  loaded: LoadedContract;
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

  async #run({ loaded, signal, onReport }: TrialRun): Promise<TrialResult> {
    const { deploymentId, tools } = this.#options;
    const cancel = () => this.#trial?.cancel();
    try {
      const trial = await Trial.begin({
        deploymentId,
        loaded,
        tools,
        lockOut: (why) => this.#options.lockOut({ deploymentId, why: `after a trial: ${why}` }),
        onReport,
        // While it was made ready somebody may have pressed E-stop, or ended it.
        throwUnlessFree: () => {
          this.#throwUnlessFree();
          if (signal.aborted) throw new AppError("cancelled", "the trial was cancelled");
        },
      });
      this.#trial = trial;
      signal.addEventListener("abort", cancel, { once: true });
      return await trial.done;
    } finally {
      signal.removeEventListener("abort", cancel);
      this.#trial = undefined;
      this.#isRunning = false;
      this.#options.onChange();
    }
  }

  #throwUnlessFree(): void {
    const why = this.#options.whyNot();
    if (why !== undefined) throw new AppError("wrong_state", why);
  }
}
