import type { HostAction } from "@hardshare/core";
import { type DeploymentId, estopLockoutOf, type InstanceId } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import type { ReportOutbox } from "../channel/report-outbox.ts";
import { ReportStream } from "../channel/report-stream.ts";
import type { EndedEntry } from "../journal/entries.ts";
import { isLive, type JournalInstance } from "../journal/journal-state.ts";
import type { Journal } from "../journal/journal.ts";
import { readJournalledContract } from "./journalled-contract.ts";

interface EndedAnswersOptions {
  deploymentId: DeploymentId;
  journal: Journal;
  outbox: ReportOutbox;
  clock: Clock;
  /** Locks the deployment out; never rejects. @param lockoutId of the E-stop that means it, if one does */
  lockOut: (instanceId: InstanceId, why: string, lockoutId?: string) => Promise<void>;
  /** Whether the lock-out of an E-stop was set, and it was acted on. */
  isActedOn: (lockoutId: string) => boolean;
}

/** Says of epochs that do not run here that they are over, each once until the server has recorded it. */
export class EndedAnswers {
  readonly #options: EndedAnswersOptions;
  /** Instances whose end is being written down. */
  readonly #answering = new Set<InstanceId>();

  constructor(options: EndedAnswersOptions) {
    this.#options = options;
  }

  async answer(action: Extract<HostAction, { kind: "answer_ended" }>): Promise<void> {
    const { deploymentId, outbox, journal, clock, lockOut } = this.#options;
    const { instanceId, epoch, lastSequence, user } = action.instance;
    if (this.#answering.has(instanceId) || (outbox.waitingEnd(instanceId, epoch) ?? 0) > lastSequence) return;
    this.#answering.add(instanceId);
    const journalled = journal.state.instances.get(instanceId);
    const known = journalled?.ended;
    // Nothing here holds it, so nobody can say that it left nothing.
    const isLost = journalled !== undefined && isLive(journalled);
    const failure = action.text === undefined ? {} : { failedStep: "host", log: action.text };
    const fresh = { reason: action.reason, ...failure, clean: !isLost, residue: isLost ? [LOST] : [] };
    const end = known === undefined ? fresh : endOf(known);
    if (isLost) await lockOut(instanceId, LOST);
    if (action.reason === "estop" && journalled !== undefined && this.#meansLockOut(journalled)) {
      const lockoutId = estopLockoutOf(instanceId);
      await lockOut(instanceId, `E-stop by ${user}, of which this host heard when the instance had ended`, lockoutId);
      await journal.record({ kind: "stopped", deploymentId, lockoutId }); // nothing is left that the next daemon would have to stop
    }
    const after = Math.max(lastSequence, journalled?.sequence ?? 0);
    const stream = new ReportStream({ outbox, clock, instance: { deploymentId, instanceId, epoch }, after });
    const sequence = stream.reserve();
    if (action.mustJournal || journalled !== undefined) {
      const at = new Date(clock.now()).toISOString();
      await journal.record({ kind: "ended", at, deploymentId, instanceId, epoch, sequence, ...end });
    }
    stream.addNumbered(sequence, { kind: "ended", ...end });
    this.#answering.delete(instanceId);
  }

  /** Whether an E-stop of the user, which came when all was over, means by the contract that the owner has to look first. */
  #meansLockOut({ instanceId, started, endReason }: JournalInstance): boolean {
    if (started === undefined || endReason === "estop" || this.#options.isActedOn(estopLockoutOf(instanceId))) return false;
    const { loaded, problem } = readJournalledContract(started);
    return problem !== undefined || loaded.contract.estop_by_user === "lock";
  }
}

/** What is said of an instance that should be here and is not. */
const LOST = "the journal says that the instance runs, but the host daemon holds nothing of it";

/** The part of an `ended` entry that its report repeats. */
export function endOf({ reason, clean, residue, failedStep, log }: EndedEntry) {
  return { reason, clean, residue, ...(failedStep === undefined ? {} : { failedStep }), ...(log === undefined ? {} : { log }) };
}
