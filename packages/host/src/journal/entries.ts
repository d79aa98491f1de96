import { DeploymentId, EndReason, Epoch, HostLockout, InstanceId } from "@hardshare/protocol";
import * as z from "zod";

const DeadlineRecord = z.object({ wallMs: z.number(), uptimeMs: z.number(), bootId: z.string() });

/** An epoch has begun here: written before its first step. */
const Started = z.object({
  kind: z.literal("started"),
  at: z.string(),
  deploymentId: DeploymentId,
  instanceId: InstanceId,
  epoch: Epoch,
  user: z.string(),
  deadline: DeadlineRecord,
  /** The contract in force, as its text, and the folder from which its paths count. */
  contract: z.string(),
  folder: z.string(),
  /** Report sequence from which this instance goes on here. */
  sequence: z.int(),
});
/** Its deadline was moved. */
const Moved = z.object({ kind: z.literal("moved"), instanceId: InstanceId, deadline: DeadlineRecord });
/** Every launch step is done, or a restarted daemon adopted it. */
const Up = z.object({
  kind: z.literal("up"),
  instanceId: InstanceId,
  hostKeys: z.array(z.string()),
  /** By which its processes are found while the engine does not answer. */
  containerId: z.string().optional(),
  sequence: z.int(),
});
const Ending = z.object({ kind: z.literal("ending"), instanceId: InstanceId, reason: EndReason });
/** The host let go, or an epoch that never began is over. Kept until the server recorded it. */
const Ended = z.object({
  kind: z.literal("ended"),
  at: z.string(),
  deploymentId: DeploymentId,
  instanceId: InstanceId,
  epoch: Epoch,
  reason: EndReason,
  failedStep: z.string().optional(),
  log: z.string().optional(),
  clean: z.boolean(),
  residue: z.array(z.string()),
  /** Sequence of its report. */
  sequence: z.int(),
});
const Acknowledged = z.object({ kind: z.literal("acknowledged"), instanceId: InstanceId, epoch: Epoch });
const Lockout = HostLockout.omit({ type: true }).extend({ kind: z.literal("lockout") });
const LockoutAcknowledged = z.object({ kind: z.literal("lockout_acknowledged"), lockoutId: z.string() });
/** An E-stop of the deployment was acted on: the hardware was made safe, or a running instance is ending for it. */
const Stopped = z.object({ kind: z.literal("stopped"), deploymentId: DeploymentId, lockoutId: z.string() });
/** Highest epoch of a deployment, and when its last instance here ended, in place of entries that compaction dropped. */
const HighestEpoch = z.object({
  kind: z.literal("highest_epoch"),
  deploymentId: DeploymentId,
  epoch: Epoch,
  lastEndAt: z.string().optional(),
});

/** One line of the journal. */
export const JournalEntry = z.discriminatedUnion("kind", [
  Started,
  Moved,
  Up,
  Ending,
  Ended,
  Acknowledged,
  Lockout,
  LockoutAcknowledged,
  Stopped,
  HighestEpoch,
]);
export type JournalEntry = z.infer<typeof JournalEntry>;
export type StartedEntry = z.infer<typeof Started>;
export type EndedEntry = z.infer<typeof Ended>;
export type LockoutEntry = z.infer<typeof Lockout>;
