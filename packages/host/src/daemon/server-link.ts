import { type DeploymentId, type HostDeployment, type InstanceId, MAX_REASON_CHARS, type ServerToHost } from "@hardshare/protocol";
import { type Clock, Deferred, type Logger, type Random, within } from "@hardshare/runtime";
import { HostChannel, type ServerConnection } from "../channel/host-channel.ts";
import { ReportOutbox } from "../channel/report-outbox.ts";
import type { Journal } from "../journal/journal.ts";
import type { DeploymentKeepers } from "./deployment-keepers.ts";

/** How long somebody waits for the server to record what this host said, when the host can go on without. */
const RECORDED_WITHIN_MS = 3000;

/** A lock-out that this host decides. */
export interface NewLockout {
  deploymentId: DeploymentId;
  /** The instance that it is about, if any. */
  instanceId?: InstanceId | undefined;
  /** A new one unless told otherwise; the same one twice is one lock-out. */
  lockoutId?: string | undefined;
  why: string;
}

/** What the host says to its server, and hears from it: through the channel, or as soon as that stands again. */
export class ServerLink implements AsyncDisposable {
  readonly outbox: ReportOutbox;
  /** Settles when the server has said for the first time what should be. */
  readonly desiredKnown: Promise<void>;
  readonly #journal: Journal;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #logger: Logger;
  readonly #known = new Deferred();
  #channel: HostChannel | undefined;
  #keepers: DeploymentKeepers | undefined;
  /** What the server was told of the offers, and the number of that message; what it has recorded; who waits for that. */
  #announced = "";
  #revision = 0;
  #recordedRevision = 0;
  #untilAnnounced = new Deferred();

  constructor(options: { journal: Journal; clock: Clock; random: Random; logger: Logger }) {
    this.#journal = options.journal;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#logger = options.logger;
    this.desiredKnown = this.#known.promise;
    this.outbox = new ReportOutbox({ send: (message) => this.#channel?.send(message) ?? false, clock: options.clock });
    for (const { kind: _, ...lockout } of this.#journal.state.lockouts.values()) this.outbox.addLockout({ type: "lockout", ...lockout });
  }

  get isConnected(): boolean {
    return this.#channel?.isOpen ?? false;
  }

  get problem(): string | null {
    return this.#channel?.problem ?? null;
  }

  connect(keepers: DeploymentKeepers, connection: ServerConnection): void {
    this.#keepers = keepers;
    this.#channel = new HostChannel({
      ...connection,
      describe: () => keepers.describe(),
      onOpen: () => {
        this.#announced = ""; // what changed between `hello` and now
        this.announce();
        this.outbox.resend();
      },
      onMessage: (message) => this.#hear(message, keepers),
      clock: this.#clock,
      random: this.#random,
      logger: this.#logger,
    });
  }

  /** Tells the server what is offered, if that has changed. */
  announce(): void {
    const deployments = this.#keepers?.describe() ?? [];
    const facts = JSON.stringify(deployments.map(offerOf));
    if (facts === this.#announced) return;
    this.#revision += 1;
    if (this.#channel?.send({ type: "deployments", revision: this.#revision, deployments }) === true) this.#announced = facts;
  }

  /** Settles once the server has recorded what is offered now: a launch that is asked for afterwards finds it. */
  async untilAnnounced(): Promise<void> {
    if (this.#recordedRevision < this.#revision) await this.#untilAnnounced.promise;
  }

  /** Like `untilAnnounced`, but not for long, and not without a server. */
  async settleOffers(): Promise<void> {
    if (this.isConnected) await within(this.#clock, RECORDED_WITHIN_MS, this.untilAnnounced());
  }

  /** Locks a deployment out: written down first, then told until the server has recorded it. A long reason is cut. Never rejects. */
  async lockOut({ deploymentId, instanceId, lockoutId = this.#random.uuid(), why }: NewLockout): Promise<void> {
    const reason = why.slice(0, MAX_REASON_CHARS);
    const at = new Date(this.#clock.now()).toISOString();
    const lockout = { lockoutId, deploymentId, ...(instanceId === undefined ? {} : { instanceId }), reason, actor: "host", at };
    this.#logger.error("deployment locked out", { deployment: deploymentId, instance: instanceId, reason });
    await this.#journal.record({ kind: "lockout", ...lockout });
    this.outbox.addLockout({ type: "lockout", ...lockout });
  }

  /** Waits until the server has recorded the ends of all instances, but not for long. */
  async settle(): Promise<void> {
    if (this.isConnected) await within(this.#clock, RECORDED_WITHIN_MS, this.outbox.untilEndsRecorded());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#channel?.[Symbol.asyncDispose]();
    this.outbox[Symbol.dispose]();
  }

  #hear(message: ServerToHost, keepers: DeploymentKeepers): void {
    switch (message.type) {
      case "desired":
        keepers.apply(message);
        if (message.full) this.#known.resolve();
        break;
      case "estop":
        keepers.get(message.deploymentId).estop(message);
        this.#channel?.send({ type: "estop_ack", estopId: message.estopId });
        break;
      case "heartbeat":
        keepers.get(message.deploymentId).onHeartbeat(message);
        break;
      case "deployments_ack":
        this.#recordedRevision = Math.max(this.#recordedRevision, message.revision);
        if (this.#recordedRevision < this.#revision) break;
        this.#untilAnnounced.resolve();
        this.#untilAnnounced = new Deferred();
        break;
      case "report_ack":
        if (this.outbox.acknowledgeReports(message.instanceId, message.epoch, message.sequence)) {
          void this.#journal.record({ kind: "acknowledged", instanceId: message.instanceId, epoch: message.epoch });
        }
        break;
      case "lockout_ack":
        this.outbox.acknowledgeLockout(message.lockoutId);
        void this.#journal.record({ kind: "lockout_acknowledged", lockoutId: message.lockoutId });
        break;
      case "later":
      case "challenge":
      case "welcome":
      case "refused":
        break; // words of the handshake, which is over, and of later versions
    }
  }
}

/** The part of a description that matters to the server at once; the rest it learns by reports. */
function offerOf({ highestEpoch: _highest, current: _current, ...offer }: HostDeployment) {
  return offer;
}
