import type { HostLockout, HostReport, HostToServer, InstanceId, ReportBody } from "@hardshare/protocol";
import { type Clock, Deferred } from "@hardshare/runtime";

/** Reports that wait for the server's word; beyond either, bulk goes first, then steps and notices. */
const MAX_WAITING = 1000;
const MAX_WAITING_BYTES = 2 * 1024 * 1024;
/** Reports that are on their way at the same time: far less than the channel holds for a server that reads slowly (8 MiB). */
const WINDOW = 250;
const WINDOW_BYTES = 512 * 1024;
/** How long the server's word is waited for before what is on its way is sent again on the same connection. */
const RESEND_AFTER_MS = 5000;

type Kinds = ReadonlySet<ReportBody["kind"]>;
/** Output of programs, decisions of filters and excerpts of taps: there may be any number of them. */
const BULK: Kinds = new Set(["log", "filter", "tap"]);
const DROP_ORDER: Kinds[] = [BULK, new Set(["step", "notice", "traffic"]), new Set(["accepted", "up"])];

interface Waiting {
  report: HostReport;
  sizeBytes: number;
  /** Pieces of bulk in whose place this report stands. */
  droppedBulk: number;
}

/**
 * What the host says and the server has not yet recorded: kept, and sent again after a reconnect. Lock-outs come first.
 * Reports follow in their order, a window of them at a time; what the server records makes room for the next. Ends are
 * never dropped.
 */
export class ReportOutbox implements Disposable {
  readonly #send: (message: HostToServer) => boolean;
  readonly #clock: Clock;
  /** Sent on this connection. */
  #window: Waiting[] = [];
  /** Not yet sent on this connection; all of it later than the window. */
  #backlog: Waiting[] = [];
  #lockouts = new Map<string, HostLockout>();
  #timer: Disposable | undefined;
  #endsRecorded: Deferred | undefined;

  /** @param send sends a message if connected */
  constructor(options: { send: (message: HostToServer) => boolean; clock: Clock }) {
    this.#send = options.send;
    this.#clock = options.clock;
  }

  addReport(report: HostReport): void {
    this.#backlog.push(waiting(report));
    this.#sendNext();
    this.#makeRoom();
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
    this.#window = this.#window.filter(({ report }) => !isRecorded(report));
    this.#backlog = this.#backlog.filter(({ report }) => !isRecorded(report));
    if (!this.#hasEnds) this.#endsRecorded?.resolve();
    this.#sendNext();
    this.#timer?.[Symbol.dispose](); // the server reads, if slowly
    this.#timer = undefined;
    this.#resendLater();
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

  /** Begins anew; called after each connect. */
  resend(): void {
    for (const lockout of this.#lockouts.values()) this.#send(lockout);
    this.#backlog = [...this.#window, ...this.#backlog];
    this.#window = [];
    this.#sendNext();
    this.#resendLater();
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
  }

  get #reports(): HostReport[] {
    return [...this.#window, ...this.#backlog].map(({ report }) => report);
  }

  get #hasEnds(): boolean {
    return this.#reports.some((report) => report.body.kind === "ended");
  }

  /** Fills the window. */
  #sendNext(): void {
    let sizeBytes = sizeOf(this.#window);
    for (let next = this.#backlog[0]; next !== undefined; next = this.#backlog[0]) {
      sizeBytes += next.sizeBytes;
      const isFull = this.#window.length >= WINDOW || (sizeBytes > WINDOW_BYTES && this.#window.length > 0);
      if (isFull || !this.#send(next.report)) return;
      this.#window.push(next);
      this.#backlog.shift();
    }
  }

  #resendLater(): void {
    if (this.#window.length + this.#backlog.length + this.#lockouts.size === 0) return;
    this.#timer ??= this.#clock.after(RESEND_AFTER_MS, () => {
      this.#timer = undefined;
      for (const lockout of this.#lockouts.values()) this.#send(lockout);
      for (const { report } of this.#window) this.#send(report);
      this.#resendLater();
    });
  }

  /** What is on its way stays: it takes room at the other end already. */
  #makeRoom(): void {
    const windowBytes = sizeOf(this.#window);
    const isOver = () =>
      this.#window.length + this.#backlog.length > MAX_WAITING || windowBytes + sizeOf(this.#backlog) > MAX_WAITING_BYTES;
    while (isOver() && DROP_ORDER.some((kinds) => this.#dropFirst(kinds)));
  }

  /** @returns whether there was one to drop */
  #dropFirst(kinds: Kinds): boolean {
    const index = this.#backlog.findIndex(({ report, droppedBulk }) => kinds.has(report.body.kind) && droppedBulk === 0);
    const dropped = this.#backlog[index];
    if (dropped === undefined) return false;
    const { instanceId, epoch, body } = dropped.report;
    if (!BULK.has(body.kind)) {
      this.#backlog.splice(index, 1);
      return true;
    }
    const noteAt = this.#backlog.findIndex(({ report, droppedBulk }) => droppedBulk > 0 && isOf(report, instanceId, epoch));
    if (noteAt >= 0) this.#backlog.splice(index, 1);
    const place = noteAt >= 0 ? noteAt : index;
    const note = this.#backlog[place];
    if (note !== undefined) this.#backlog[place] = noteOf(note.report, note.droppedBulk + 1);
    return true;
  }
}

function waiting(report: HostReport, droppedBulk = 0): Waiting {
  return { report, sizeBytes: Buffer.byteLength(JSON.stringify(report)), droppedBulk };
}

/** What is sent under the number of the first piece that was dropped. */
function noteOf(report: HostReport, droppedBulk: number): Waiting {
  const text = `… ${droppedBulk} pieces of output or decisions were dropped, because the server did not take them\n`;
  return waiting({ ...report, body: { kind: "log", step: "output", text } }, droppedBulk);
}

function sizeOf(reports: readonly Waiting[]): number {
  return reports.reduce((sum, each) => sum + each.sizeBytes, 0);
}

function isOf(report: HostReport, instanceId: InstanceId, epoch: number): boolean {
  return report.instanceId === instanceId && report.epoch === epoch;
}
