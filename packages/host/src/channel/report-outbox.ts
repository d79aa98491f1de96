import type { DeploymentId, HostLockout, HostReport, HostToServer, InstanceId, ReportBody } from "@hardshare/protocol";
import { type Clock, Deferred } from "@hardshare/runtime";
import type { z } from "zod";

/** Reports that wait for the server's word; beyond that, output of programs goes first, then steps and notices. */
const MAX_PENDING = 1000;
/** How long the server's word is waited for before everything is sent again on the same connection. */
const RESEND_AFTER_MS = 5000;

const DROP_ORDER: ReadonlySet<ReportBody["kind"]>[] = [new Set(["log"]), new Set(["step", "notice"]), new Set(["accepted", "up"])];

/**
 * What the host says and the server has not yet recorded: kept, and sent again after a reconnect. Lock-outs come first.
 */
export class ReportOutbox implements Disposable {
  readonly #send: (message: HostToServer) => boolean;
  readonly #clock: Clock;
  #reports: HostReport[] = [];
  #lockouts = new Map<string, HostLockout>();
  #timer: Disposable | undefined;
  #endsRecorded: Deferred | undefined;

  /** @param send sends a message if connected */
  constructor(options: { send: (message: HostToServer) => boolean; clock: Clock }) {
    this.#send = options.send;
    this.#clock = options.clock;
  }

  addReport(report: HostReport): void {
    this.#reports.push(report);
    this.#makeRoom();
    this.#send(report);
    this.#resendLater();
  }

  addLockout(lockout: HostLockout): void {
    this.#lockouts.set(lockout.lockoutId, lockout);
    this.#send(lockout);
    this.#resendLater();
  }

  /** The sequence of the report that this instance has ended, if it waits here. */
  waitingEnd(instanceId: InstanceId, epoch: number): number | undefined {
    return this.#reports.find((report) => report.body.kind === "ended" && isOf(report, instanceId, epoch))?.sequence;
  }

  /** @returns whether the end of the instance was among what the server recorded */
  acknowledgeReports(instanceId: InstanceId, epoch: number, sequence: number): boolean {
    const isRecorded = (report: HostReport) => isOf(report, instanceId, epoch) && report.sequence <= sequence;
    const hasEnded = this.#reports.some((report) => isRecorded(report) && report.body.kind === "ended");
    this.#reports = this.#reports.filter((report) => !isRecorded(report));
    if (!this.#hasEnds) this.#endsRecorded?.resolve();
    return hasEnded;
  }

  /** Settles when no end of an instance waits for the server's word. */
  async untilEndsRecorded(): Promise<void> {
    if (!this.#hasEnds) return;
    this.#endsRecorded ??= new Deferred();
    await this.#endsRecorded.promise;
  }

  acknowledgeLockout(lockoutId: string): void {
    this.#lockouts.delete(lockoutId);
  }

  /** Sends all that waits; called after each connect. */
  resend(): void {
    for (const lockout of this.#lockouts.values()) this.#send(lockout);
    for (const report of this.#reports) this.#send(report);
    this.#resendLater();
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
  }

  get #hasEnds(): boolean {
    return this.#reports.some((report) => report.body.kind === "ended");
  }

  #resendLater(): void {
    this.#timer ??= this.#clock.after(RESEND_AFTER_MS, () => {
      this.#timer = undefined;
      if (this.#reports.length > 0 || this.#lockouts.size > 0) this.resend();
    });
  }

  #makeRoom(): void {
    for (const kinds of DROP_ORDER) {
      if (this.#reports.length <= MAX_PENDING) return;
      const index = this.#reports.findIndex((report) => kinds.has(report.body.kind));
      if (index >= 0) this.#reports.splice(index, 1);
    }
  }
}

function isOf(report: HostReport, instanceId: InstanceId, epoch: number): boolean {
  return report.instanceId === instanceId && report.epoch === epoch;
}

/** Reports of one instance, numbered upwards. */
export class ReportStream {
  readonly #outbox: ReportOutbox;
  readonly #clock: Clock;
  readonly #instance: { deploymentId: DeploymentId; instanceId: InstanceId; epoch: number };
  #sequence: number;

  /** @param after number of the last report that was sent before, 0 for none */
  constructor(options: {
    outbox: ReportOutbox;
    clock: Clock;
    instance: { deploymentId: DeploymentId; instanceId: InstanceId; epoch: number };
    after: number;
  }) {
    this.#outbox = options.outbox;
    this.#clock = options.clock;
    this.#instance = options.instance;
    this.#sequence = options.after;
  }

  /** Number of the last report. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Goes on above what the server has recorded. */
  continueAbove(sequence: number): void {
    this.#sequence = Math.max(this.#sequence, sequence);
  }

  add(body: z.input<typeof ReportBody>): void {
    this.#sequence += 1;
    this.addNumbered(this.#sequence, body);
  }

  /** Takes the next number for a report that is first written to the journal. */
  reserve(): number {
    this.#sequence += 1;
    return this.#sequence;
  }

  addNumbered(sequence: number, body: z.input<typeof ReportBody>): void {
    const { deploymentId, instanceId, epoch } = this.#instance;
    const at = new Date(this.#clock.now()).toISOString();
    const complete = body.kind === "ended" ? { ...body, residue: body.residue ?? [] } : body;
    this.#outbox.addReport({ type: "report", deploymentId, instanceId, epoch, sequence, at, body: complete });
  }
}
