/** What reached a simulated device, and on whose behalf. */
export type Deed =
  | "init"
  | "action"
  | "terminate"
  | "baseline"
  | "safe_state"
  /** An E-stop reached the host; nothing may reach the device after it but what makes it safe. */
  | "estop";

export interface LedgerEntry {
  atMs: number;
  deploymentId: string;
  instanceId: string;
  epoch: number;
  deed: Deed;
}

/** All that reached the devices of one simulation, in order: the witness of what happened. */
export class Ledger {
  readonly entries: LedgerEntry[] = [];
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Whether something was done on behalf of an instance, or of any. */
  has(deed: Deed, instanceId?: string): boolean {
    return this.entries.some((entry) => entry.deed === deed && entry.instanceId === (instanceId ?? entry.instanceId));
  }

  write(of: { deploymentId: string; instanceId: string; epoch: number }, deed: Deed): void {
    const { deploymentId, instanceId, epoch } = of;
    this.entries.push({ atMs: this.#nowMs(), deploymentId, instanceId, epoch, deed });
  }
}
