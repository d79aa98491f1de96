/**
 * A trial: an instance of nobody, launched and ended on this computer by the steps of every instance, without the server
 * and its epochs. Its id says that it is one, and is the same each time: what is left of one that was killed is found.
 */
import { rm } from "node:fs/promises";
import { type DeploymentId, InstanceId, probeOf, type ReportBody } from "@hardshare/protocol";
import { ReportStream } from "../channel/report-stream.ts";
import { HostInstance } from "../instance/host-instance.ts";
import type { HostTools } from "../instance/instance-parts.ts";
import { memoryJournalFile } from "../journal/memory-journal-file.ts";
import { Journal } from "../journal/journal.ts";
import { contractOf, markTrial, trialFolder, type TrialPlan } from "./trial-mark.ts";
import { TrialTunnel } from "./trial-tunnel.ts";

/** Longer than any trial takes whose programs keep their time limits. */
const MAX_TRIAL_MS = 24 * 3600 * 1000;
/** Whom its programs are told as the user. */
const TRIAL_USER = "hardshare-check";

export interface TrialOptions {
  deploymentId: DeploymentId;
  plan: TrialPlan;
  /** `clean_up`: it was killed, and is undone. */
  beginning: "launch" | "clean_up";
  tools: HostTools;
  /** Locks the deployment out: the trial could not be undone. Never rejects. */
  lockOut: (reason: string) => Promise<void>;
  /** What its timeline would say. */
  onReport: (body: ReportBody) => void;
  /** Called at the last moment before it begins. @throws when it may not */
  throwUnlessFree: () => void;
}

/** How a trial ended. */
export interface TrialResult {
  /** Whether it was launched with all its steps. */
  isUp: boolean;
  /** The launch step that failed, with its last lines. */
  failure: { step: string; log: string } | undefined;
  /** What is left of it; empty when nothing is. */
  residue: readonly string[];
  isStopped: boolean;
}

/** Id of the trials of a deployment. */
export function trialInstanceOf(deploymentId: DeploymentId): InstanceId {
  return InstanceId.parse(`00000000${deploymentId.slice(8)}`);
}

/** One trial that runs. */
export class Trial {
  /** Settles when nothing of it is left; never rejects. */
  readonly done: Promise<TrialResult>;
  readonly instance: HostInstance;

  private constructor(instance: HostInstance, done: Promise<TrialResult>) {
    this.instance = instance;
    this.done = done;
  }

  /** Begins one. @throws AppError when it cannot be written down; what `throwUnlessFree` throws */
  static async begin(options: TrialOptions): Promise<Trial> {
    const { deploymentId, plan, tools } = options;
    const loaded = contractOf(plan);
    const instanceId = trialInstanceOf(deploymentId);
    const stateFolder = trialFolder(tools.stateFolder, deploymentId);
    if (options.beginning === "launch") await markTrial(stateFolder, plan);
    const journal = await Journal.load(memoryJournalFile());
    const result: { -readonly [K in keyof TrialResult]: TrialResult[K] } = {
      isUp: false,
      failure: undefined,
      residue: [],
      isStopped: false,
    };
    const addReport = ({ body }: { body: ReportBody }) => {
      options.onReport(body);
      if (body.kind === "up") {
        result.isUp = true;
        instance.end("owner");
      } else if (body.kind === "ended") {
        const { failedStep, log = "", residue } = body;
        if (failedStep !== undefined) result.failure = { step: failedStep, log };
        result.residue = residue;
      }
    };
    try {
      options.throwUnlessFree();
    } catch (error) {
      await rm(stateFolder, { recursive: true, force: true });
      throw error;
    }
    const time = tools.time();
    const reports = new ReportStream({
      outbox: { addReport },
      clock: tools.clock,
      instance: { deploymentId, instanceId, epoch: NO_EPOCH },
      after: 0,
    });
    const instance: HostInstance = new HostInstance({
      facts: { deploymentId, instanceId, epoch: NO_EPOCH, user: TRIAL_USER, publicKeys: [], loaded, isTrial: true },
      deadline: { wallMs: time.wallMs + MAX_TRIAL_MS, uptimeMs: time.uptimeMs + MAX_TRIAL_MS, bootId: time.bootId },
      beginning: options.beginning === "launch" ? { kind: "launch" } : { kind: "clean_up", reason: "host_restarted", problem: undefined },
      tools: { ...tools, stateFolder, openTunnel: (tunnel) => new TrialTunnel(tunnel, probeOf(loaded.contract)) },
      journal,
      reports,
      lockOut: options.lockOut,
      onAlert: () => {},
    });
    const done = instance.done.then(async () => {
      result.isStopped = instance.isStopped;
      await rm(stateFolder, { recursive: true, force: true }).catch(() => {}); // then it is undone once more
      await journal[Symbol.asyncDispose]();
      return result;
    });
    return new Trial(instance, done);
  }

  /** Ends it, whatever it is doing. */
  cancel(): void {
    this.instance.end("host_stopped");
  }
}

/** Epochs count from 1: a trial is fenced by nothing, and takes none. */
const NO_EPOCH = 0;
