import type { Clock } from "@hardshare/runtime";
import type { StepAction, StepReporter } from "./execute.ts";
import type { InstanceParts } from "./instance-parts.ts";
import { runSafeState } from "./safe-state.ts";

interface LossesOptions {
  parts: Pick<InstanceParts, "contract" | "safeState" | "holdServices">;
  /** Runs the contract's programs for the safe state. */
  runPrograms: StepAction;
  clock: Clock;
  reporter: StepReporter;
  notice: (level: "info" | "warning" | "alert", text: string) => void;
  isEnding: () => boolean;
  /** The programs for the safe state failed. */
  onUnsafe: (reason: string) => Promise<void>;
}

/**
 * Parts of a running instance that ended by themselves and are started again: people are told once for each loss, and
 * for a lost service the hardware is made safe. Until it is, nothing passes any service: the programs for the safe state
 * take longer than a filter takes to run again.
 */
export class Losses {
  readonly #options: LossesOptions;
  /** Services, the relay and the link, that do not yet run again. */
  readonly #lost = new Set<string>();
  #isSafeStateWaiting = false;

  constructor(options: LossesOptions) {
    this.#options = options;
  }

  onServiceLost(name: string, how: string): void {
    const { parts, notice, isEnding } = this.#options;
    if (isEnding() || !this.#isNewlyLost(`service ${name}`)) return;
    notice("alert", `${how}: nothing passes service ${name} until it runs again`);
    if (parts.contract.safe_state.length > 0) this.#makeSafeSoon();
  }

  onServiceRestored(name: string): void {
    this.#lost.delete(`service ${name}`);
    this.#options.notice("info", `service ${name} runs again`);
  }

  onRelayLost(how: string): void {
    if (this.#isNewlyLost("relay")) this.#options.notice("warning", `${how}; SSH connections were cut, it is started again`);
  }

  onRelayRestored(): void {
    this.#lost.delete("relay");
    this.#options.notice("info", "the relay runs again");
  }

  onLinkLost(how: string): void {
    if (this.#isNewlyLost("link")) this.#options.notice("warning", `${how}; the instance has no internet until its link is started again`);
  }

  onLinkRestored(): void {
    this.#lost.delete("link");
    this.#options.notice("info", "the instance has internet again");
  }

  /** False for a further failed attempt to start it again, of which people were told. */
  #isNewlyLost(name: string): boolean {
    const isNew = !this.#lost.has(name);
    this.#lost.add(name);
    return isNew;
  }

  /** One run at a time, and at most one that waits for it: that one answers for all losses before it begins. */
  #makeSafeSoon(): void {
    if (this.#isSafeStateWaiting) return;
    this.#isSafeStateWaiting = true;
    const { parts, isEnding } = this.#options;
    const hold = parts.holdServices();
    parts.safeState = parts.safeState.then(async () => {
      await hold.settled;
      this.#isSafeStateWaiting = false;
      if (!isEnding()) await this.#makeSafe();
      hold.release();
    });
  }

  async #makeSafe(): Promise<void> {
    const failure = await runSafeState(this.#options);
    if (failure !== undefined) await this.#options.onUnsafe(`safe_state: ${failure.message}`);
  }
}
