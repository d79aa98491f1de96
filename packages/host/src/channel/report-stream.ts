import type { DeploymentId, InstanceId, ReportBody } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import type * as z from "zod";
import type { ReportOutbox } from "./report-outbox.ts";

/**
 * Reports of one instance, numbered upwards. The last one is its end: the server takes what comes after it, or with a
 * lower number than what it has, for a repetition.
 */
export class ReportStream {
  readonly #outbox: Pick<ReportOutbox, "addReport">;
  readonly #clock: Clock;
  readonly #instance: { deploymentId: DeploymentId; instanceId: InstanceId; epoch: number };
  #sequence: number;
  #isReserved = false;

  /** @param after number of the last report that was sent before, 0 for none */
  constructor(options: {
    outbox: Pick<ReportOutbox, "addReport">;
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
    if (this.#isReserved) return;
    this.#sequence += 1;
    this.addNumbered(this.#sequence, body);
  }

  /** Takes the last number, for the end, which is first written to the journal: nothing is added any more. */
  reserve(): number {
    this.#isReserved = true;
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
