import { toAppError } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import type { StepReporter } from "./execute.ts";
import type { InstanceParts } from "./instance-parts.ts";
import type { InstanceWorks } from "./instance-works.ts";
import { runSafeState } from "./safe-state.ts";

interface EmergencyStopOptions {
  parts: InstanceParts;
  works: InstanceWorks;
  clock: Clock;
  reporter: StepReporter;
  /** Something went wrong, so that nobody knows whether the hardware is safe. Never rejects. */
  onUnsafe: (reason: string) => Promise<void>;
}

/**
 * The E-stop of one instance, beside whatever steps are under way: connections are cut at once, filters, programs and a
 * container with devices are killed, then the hardware is made safe. It waits for no step, no engine and no journal.
 */
export class EmergencyStop {
  readonly #options: EmergencyStopOptions;
  #isPressed = false;

  constructor(options: EmergencyStopOptions) {
    this.#options = options;
  }

  get isPressed(): boolean {
    return this.#isPressed;
  }

  /** @param lock journals the lock-out, if the E-stop means one: goes on at the same time, and the programs for the end wait for it too */
  press(lock: (() => Promise<void>) | undefined): void {
    const { parts, works } = this.#options;
    this.#isPressed = true;
    for (const service of parts.services) service.cut();
    parts.stopped.abort();
    parts.stopped = new AbortController();
    const isOff = works.cutOff().catch((error: unknown) => this.#options.onUnsafe(`E-stop: ${toAppError(error).message}`));
    const locked = lock?.();
    void parts.inTurn(async () => {
      await isOff;
      await Promise.all([this.#makeSafe(), locked]);
    });
  }

  async #makeSafe(): Promise<void> {
    const { parts, works, clock, reporter, onUnsafe } = this.#options;
    if (parts.contract.safe_state.length === 0) return;
    const failure = await runSafeState({ runPrograms: works.makeSafe, clock, reporter });
    if (failure === undefined) parts.isMadeSafe = true;
    else await onUnsafe(`safe_state: ${failure.message}`);
  }
}
