import type { DesiredDeployment, DesiredInstance, EndReason } from "@hardshare/protocol";

/** What a host knows about one of its deployments. */
export interface HostFacts {
  /** Highest epoch in its journal, 0 for none. */
  highestEpoch: number;
  /** The instance that it runs or is ending. */
  current: {
    instanceId: string;
    epoch: number;
    isEnding: boolean;
    /** Whether it was stopped by an E-stop. */
    isStopped: boolean;
  } | null;
  /** Why nothing may be launched now (locked out, not advertised, contract broken), or null; `undecided`: that is being found out. */
  refusal: { reason: EndReason; text: string } | "undecided" | null;
}

/** What the host does next. Doing any of it twice is safe. */
export type HostAction =
  /** Write the epoch down, then launch. */
  | { kind: "launch"; instance: DesiredInstance }
  /** Take over what may change while it runs: tunnel target, deadline. */
  | { kind: "update"; instance: DesiredInstance }
  /** End the current instance. */
  | { kind: "end"; reason: EndReason }
  /** Make the hardware safe at once, whatever the current instance is doing: its user or the owner pressed E-stop. */
  | { kind: "estop" }
  /** Say that it is over; `mustJournal` when the epoch is new here and has to be written down as ended first. */
  | { kind: "answer_ended"; instance: DesiredInstance; reason: EndReason; mustJournal: boolean; text?: string };

/**
 * Compares what should be with what is. Level-triggered: it is asked again after every change of either, so that each
 * answer needs to be right for its moment only. The fence is (epoch, instance id): an epoch not above the highest one
 * written down is never launched, whatever the server says.
 * @param desired null when the server does not know the deployment
 */
export function decideHost(facts: HostFacts, desired: DesiredDeployment | null): HostAction[] {
  const wanted = desired?.instance ?? null;
  const current = facts.current;
  const isSame = current !== null && wanted !== null && current.epoch === wanted.epoch && current.instanceId === wanted.instanceId;
  if (isSame) {
    if (wanted.want === "run") return current.isEnding ? [] : [{ kind: "update", instance: wanted }];
    if (wanted.reason === "estop") return current.isStopped ? [] : [{ kind: "estop" }];
    return current.isEnding ? [] : [{ kind: "end", reason: wanted.reason ?? "not_desired" }];
  }
  const actions: HostAction[] = [];
  if (current !== null && !current.isEnding) actions.push({ kind: "end", reason: "not_desired" });
  if (wanted === null) return actions;
  if (wanted.epoch <= facts.highestEpoch) {
    // Ended, half started or vanished here, or from a store older than this journal: never a second launch.
    actions.push({
      kind: "answer_ended",
      instance: wanted,
      reason: wanted.want === "end" ? (wanted.reason ?? "not_desired") : "host_restarted",
      mustJournal: false,
    });
    return actions;
  }
  if (current !== null) return actions; // asked again when it has ended
  if (wanted.want === "end") {
    return [{ kind: "answer_ended", instance: wanted, reason: wanted.reason ?? "not_desired", mustJournal: true }];
  }
  if (facts.refusal === "undecided") return actions; // asked again when it is known
  if (facts.refusal !== null) {
    return [{ kind: "answer_ended", instance: wanted, reason: facts.refusal.reason, mustJournal: true, text: facts.refusal.text }];
  }
  return [{ kind: "launch", instance: wanted }];
}
