import * as z from "zod";
import { MAX_DEAD_MAN_S, MAX_DURATION_S } from "./durations.ts";
import { FilterDecision, FilterDirection, ServiceTraffic } from "./filter-reports.ts";
import { HelloBase, Refused, Welcome, Challenge } from "./handshake.ts";
import { HostName } from "./host-names.ts";
import { DeploymentId, Epoch, InstanceId, MAX_CLAIMED_EPOCH, UserName } from "./ids.ts";
import { EndReason, Probe, Provider, PublicKeyLine, StepPhase } from "./instances.ts";
import { Rest } from "./rest.ts";
import { foreignText, MAX_REASON_CHARS } from "./texts.ts";

/**
 * The channel between a host and the server: one outbound WebSocket per host, JSON text frames.
 * Every message is idempotent and carries the epoch; the fence is (epoch, instance id).
 */

/** Where and as whom the host dials the hub for one instance. */
export const TunnelTarget = z.object({
  host: HostName,
  port: z.int().min(1).max(65_535),
  /** SSH host key of the hub, an OpenSSH public key line: anything else there is refused. */
  hostKey: z.string(),
  /** SSH user name to present; the hub knows the endpoint by it. */
  username: z.string(),
  /** How many SSH connections to keep. */
  connections: z.int().min(1).max(16),
});
export type TunnelTarget = z.infer<typeof TunnelTarget>;

/** Most keys that may log in at one instance. */
const MAX_KEYS = 64;

/** What should be with one instance, as the database says. */
export const DesiredInstance = z.object({
  instanceId: InstanceId,
  epoch: Epoch,
  want: z.enum(["run", "end"]),
  /** Why it should end. */
  reason: EndReason.optional(),
  user: UserName,
  /** Absolute end, and the milliseconds that were left when this was sent: the host takes the earlier. */
  deadline: z.iso.datetime(),
  remainingMs: z.number(),
  /** OpenSSH public key lines for the instance's authorised keys. */
  publicKeys: z.array(PublicKeyLine).max(MAX_KEYS),
  /** Absent until the hub reported the endpoint as open. */
  tunnel: TunnelTarget.nullable(),
  /** Highest report sequence number that the server has recorded; the host continues above it. */
  lastSequence: z.int(),
});
export type DesiredInstance = z.infer<typeof DesiredInstance>;

export const DesiredDeployment = z.object({
  deploymentId: DeploymentId,
  /** The lock-out in force at the server, or null. Never clears one that the host has not had acknowledged. */
  lockout: z.object({ reason: z.string(), actor: z.string(), at: z.string().optional() }).nullable(),
  /**
   * The newest E-stop of the owner whose lock-out is in force, or null: a host that did not hear of it when it was
   * pressed makes the hardware safe now. An E-stop of the user stands in the instance, as the reason of its end.
   */
  estop: z
    .object({ lockoutId: z.string().max(64), actor: z.string() })
    .nullable()
    .default(null),
  /** It is out of use for ever: who said so, why, and when (ISO 8601); null for one that is not. */
  dissolved: z
    .object({ reason: foreignText(MAX_REASON_CHARS), actor: foreignText(100), at: z.string() })
    .nullable()
    .default(null),
  /** The instance that holds the deployment, or null. What the host runs beside it must end. */
  instance: DesiredInstance.nullable(),
});
export type DesiredDeployment = z.infer<typeof DesiredDeployment>;

/** The whole desired state (`full`: deployments that are not listed are unknown to the server), or that of some deployments. */
export const HostDesired = z.object({ type: z.literal("desired"), full: z.boolean(), deployments: z.array(DesiredDeployment) });
export type HostDesired = z.infer<typeof HostDesired>;

/**
 * Somebody pressed E-stop: sent at once, before the store knows of it. What is desired says the same as soon as it does,
 * so a lost one costs time. It works in every state, and each one that comes is acted on.
 */
export const HostEstop = z.object({
  type: z.literal("estop"),
  /** New for each press; repeated in the host's answer. */
  estopId: z.string().max(64),
  deploymentId: DeploymentId,
  /** The instance that is meant; null: whatever there is. */
  instance: z.object({ instanceId: InstanceId, epoch: Epoch }).nullable(),
  /** An owner's locks the deployment out; a user's does what the contract says, and means the own instance only. */
  by: z.enum(["owner", "user"]),
  actor: foreignText(100),
  /** Under which the lock-out is recorded, by whoever is first. */
  lockoutId: z.string().max(64),
});
export type HostEstop = z.infer<typeof HostEstop>;

/** A sign of life of the user, signed by a program that runs at the user's side; the server only carries it. */
export const Heartbeat = z.object({
  type: z.literal("heartbeat"),
  deploymentId: DeploymentId,
  instanceId: InstanceId,
  epoch: Epoch,
  /** Milliseconds on a clock of the user's computer; grows. */
  at: z.number(),
  /** Of `heartbeatTranscript` by an Ed25519 key that may log in at the instance, base64. */
  signature: z.base64().max(128),
});
export type Heartbeat = z.infer<typeof Heartbeat>;

/** Text that is signed in a heartbeat. */
export function heartbeatTranscript(instanceId: string, epoch: number, at: number): string {
  return ["hardshare-heartbeat-1", instanceId, String(epoch), String(at)].join("\n");
}

/** Id of the lock-out that an E-stop means: one for an instance, however often it is pressed; without one for each press. */
export function estopLockoutOf(instanceOrPress: string): string {
  return `estop:${instanceOrPress}`;
}
export function isEstopLockout(lockoutId: string): boolean {
  return lockoutId.startsWith("estop:");
}

/** The server recorded the host's word on its deployments: from now on launches go by it. */
export const DeploymentsAck = z.object({ type: z.literal("deployments_ack"), revision: z.int() });

/** The server recorded all reports of this instance up to `sequence`. */
export const ReportAck = z.object({ type: z.literal("report_ack"), instanceId: InstanceId, epoch: Epoch, sequence: z.int() });
/** The server recorded the lock-out, and has sent the desired state that shows it: from now on that holds. */
export const LockoutAck = z.object({ type: z.literal("lockout_ack"), lockoutId: z.string() });

const ServerToHostKnown = z.discriminatedUnion("type", [
  Challenge,
  Welcome,
  Refused,
  HostDesired,
  HostEstop,
  Heartbeat,
  DeploymentsAck,
  ReportAck,
  LockoutAck,
  /** What a newer server says and this host does not know: nothing is done. */
  z.object({ type: z.literal("later"), name: z.string().max(64) }),
]);
const KNOWN_TYPES: ReadonlySet<unknown> = new Set(ServerToHostKnown.options.map((option) => option.shape.type.value));
export const ServerToHost = z.preprocess((message: unknown) => {
  const type = (message as { type?: unknown } | null)?.type;
  return typeof type !== "string" || KNOWN_TYPES.has(type) ? message : { type: "later", name: type.slice(0, 64) };
}, ServerToHostKnown);
export type ServerToHost = z.infer<typeof ServerToHost>;

/** Where an instance stands at the host. */
export const HostPhase = z.enum(["accepted", "up", "ending", "ended"]);
export type HostPhase = z.infer<typeof HostPhase>;

/** Something about the hardware that the owner should hear of, where no instance is whose timeline would tell it. */
export const HostAlert = z.object({ id: z.string().max(64), at: z.iso.datetime(), message: foreignText(MAX_REASON_CHARS) });
export type HostAlert = z.infer<typeof HostAlert>;

/** Alerts that a host tells of each deployment: the newest. */
export const MAX_HOST_ALERTS = 5;

/** A deployment as its host describes it when connecting and after a change. */
export const HostDeployment = z.object({
  deploymentId: DeploymentId,
  provider: Provider,
  probe: Probe,
  publicPort: z.boolean(),
  maxDurationS: z.number().positive().max(MAX_DURATION_S),
  /** Sum of the timeouts of the programs that run at the end. */
  endTimeoutS: z.number().nonnegative(),
  /** Window of the dead-man's switch of the instance that runs, if it has one: heartbeats come each quarter of it. */
  deadManS: z.number().positive().max(MAX_DEAD_MAN_S).optional(),
  /** Whether `hardshare ad` offers it now. */
  isAdvertised: z.boolean(),
  /** While no instance holds it: whether it rests. Also told while one does, for the moment after its end. */
  rest: Rest.nullable().default(null),
  /** When it will be closed next: no instance may last longer. */
  closesAt: z.iso.datetime().nullable().default(null),
  /** Each is recorded once, by its id. */
  alerts: z.array(HostAlert).max(MAX_HOST_ALERTS).default([]),
  /** Highest epoch in the host's journal, 0 if none: the server raises its counter above it. */
  highestEpoch: z.int().min(0).max(MAX_CLAIMED_EPOCH),
  /** Live instance at the host, or one whose end is not yet acknowledged. */
  current: z.object({ instanceId: InstanceId, epoch: Epoch, phase: HostPhase }).nullable(),
});
export type HostDeployment = z.infer<typeof HostDeployment>;

export const HostHello = HelloBase.extend({
  bootId: z.string(),
  softwareVersion: z.string(),
  deployments: z.array(HostDeployment).max(1000),
});
export type HostHello = z.infer<typeof HostHello>;

/** The deployments as they are now (a contract changed, `ad` or `stop-ad` was used). Replaces what `hello` said. */
export const HostDeployments = z.object({
  type: z.literal("deployments"),
  /** Grows with each such message of a host process; repeated in the acknowledgement. */
  revision: z.int().min(1),
  deployments: z.array(HostDeployment).max(1000),
});

/** Longest piece of program output in one report. */
export const MAX_REPORT_LOG_CHARS = 16_384;
/** Longest excerpt of what went through a service. */
export const MAX_TAP_EXCERPT_CHARS = 200;
const ReportLog = foreignText(MAX_REPORT_LOG_CHARS);
const StepName = foreignText(64);

export const ReportBody = z.discriminatedUnion("kind", [
  /** Written to the journal: this epoch has begun here. */
  z.object({ kind: z.literal("accepted") }),
  z.object({ kind: z.literal("step"), step: StepName, phase: StepPhase, ms: z.number().optional(), log: ReportLog.optional() }),
  z.object({ kind: z.literal("log"), step: StepName, text: ReportLog }),
  /** Every step is done and the tunnel stands; the hub may probe. Keys are OpenSSH public key lines, none for `proxy`. */
  z.object({ kind: z.literal("up"), hostKeys: z.array(PublicKeyLine).max(8) }),
  /** Something the user and the owner should see; `alert` also reaches the owner's channels. */
  z.object({ kind: z.literal("notice"), level: z.enum(["info", "warning", "alert"]), text: ReportLog }),
  /** What a filter decided. `missed`: how many decisions before it were not told, because there were too many. */
  z.object({ kind: z.literal("filter"), service: StepName, decision: FilterDecision, missed: z.int().min(1).optional() }),
  /** What went through a service with `tap: true` since the last one of the same direction: how many bytes, and how they began. */
  z.object({
    kind: z.literal("tap"),
    service: StepName,
    direction: FilterDirection,
    sizeBytes: z.int().min(1),
    excerpt: foreignText(MAX_TAP_EXCERPT_CHARS),
  }),
  /** How much went through a service, told when the instance ends. */
  ServiceTraffic.extend({ kind: z.literal("traffic") }),
  /** What a newer host says and this server does not know: it is acknowledged like any other. */
  z.object({ kind: z.literal("later"), name: foreignText(64) }),
  /** The host let go. `clean`: nothing is left; else `residue` names what is, and a lock-out was sent before. */
  z.object({
    kind: z.literal("ended"),
    reason: EndReason,
    /** The launch step that failed, with its last lines. */
    failedStep: StepName.optional(),
    log: ReportLog.optional(),
    clean: z.boolean(),
    residue: z.array(foreignText(MAX_REASON_CHARS)).max(32).default([]),
  }),
]);
export type ReportBody = z.infer<typeof ReportBody>;

const KNOWN_KINDS: ReadonlySet<unknown> = new Set(ReportBody.options.map((option) => option.shape.kind.value));

function toKnownKind(body: unknown): unknown {
  const kind = (body as { kind?: unknown } | null)?.kind;
  return typeof kind !== "string" || KNOWN_KINDS.has(kind) ? body : { kind: "later", name: kind.slice(0, 64) };
}

export const HostReport = z.object({
  type: z.literal("report"),
  deploymentId: DeploymentId,
  instanceId: InstanceId,
  epoch: Epoch,
  /** Strictly increasing for one instance. */
  sequence: z.int().min(1),
  at: z.iso.datetime(),
  body: z.preprocess(toKnownKind, ReportBody),
});
export type HostReport = z.infer<typeof HostReport>;

/** A lock-out decided at the host; journalled there first and repeated until acknowledged. */
export const HostLockout = z.object({
  type: z.literal("lockout"),
  lockoutId: z.string().max(64),
  deploymentId: DeploymentId,
  instanceId: InstanceId.optional(),
  reason: foreignText(MAX_REASON_CHARS),
  actor: foreignText(100),
  at: z.iso.datetime(),
});
export type HostLockout = z.infer<typeof HostLockout>;

/** An E-stop has reached the host: nothing passes to the device any more. */
export const HostEstopAck = z.object({ type: z.literal("estop_ack"), estopId: z.string().max(64) });

export const HostToServer = z.discriminatedUnion("type", [HostHello, HostDeployments, HostReport, HostLockout, HostEstopAck]);
export type HostToServer = z.infer<typeof HostToServer>;
