import { type FilterReport, formatDuration, type Heartbeat, type Service } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import { isFilter } from "../instance/filter-arguments.ts";
import type { StepAction, StepReporter } from "../instance/execute.ts";
import type { InstanceFacts, InstanceParts } from "../instance/instance-parts.ts";
import { runSafeState } from "../instance/safe-state.ts";
import { DeadManSwitch } from "./dead-man-switch.ts";
import { HeartbeatCheck } from "./heartbeat-check.ts";

/** A sign of life of a filter that took longer than this was written by another clock. */
const OLDEST_PULSE_MS = 2000;

interface DeadManOptions {
  parts: Pick<InstanceParts, "contract" | "holdServices" | "inTurn">;
  facts: InstanceFacts;
  windowS: number;
  /** Runs the contract's programs for the safe state. */
  makeSafe: StepAction;
  reporter: StepReporter;
  clock: Clock;
  notice: (level: "info" | "warning" | "alert", text: string) => void;
  isEnding: () => boolean;
  /** The programs for the safe state failed. */
  onUnsafe: (reason: string) => Promise<void>;
}

/**
 * The dead-man's switch of one instance: after the first message of the user a silence that is longer than the window cuts
 * the connections to all services and makes the hardware safe; then messages pass again. It needs no server.
 */
export class DeadMan implements Disposable {
  readonly #options: DeadManOptions;
  readonly #switch: DeadManSwitch;
  readonly #check: HeartbeatCheck;
  readonly #signs = new Map<string, number>();
  /** No filter tells when the user acts, so that a heartbeat has to. */
  readonly #isByHeartbeatsOnly: boolean;
  /** Services whose filters don't tell when the user acts. */
  readonly #unheard: ReadonlySet<string>;
  /** Whether the instance can be used. */
  #isUp = false;
  #isFiring = false;

  constructor(options: DeadManOptions) {
    this.#options = options;
    const { parts, facts, windowS, clock } = options;
    this.#switch = new DeadManSwitch({ windowMs: windowS * 1000, clock, onSilence: () => this.#fire() });
    this.#check = new HeartbeatCheck(facts, clock);
    this.#isByHeartbeatsOnly = !parts.contract.services.some((service) => isFilter(service) && !isUnheard(service));
    this.#unheard = new Set(parts.contract.services.filter(isUnheard).map(({ name }) => name));
  }

  /** The instance can be used from now on: tells people what it means for them. */
  announce(): void {
    this.#isUp = true;
    const { windowS, notice } = this.#options;
    const window = formatDuration(windowS);
    const what = `dead-man's switch: after the first message, a silence of ${window} makes the robot safe.`;
    const heard = "Messages to the robot count, and `hardshare ssh` and `forward` while they run; plain ssh does not.";
    if (!this.#isByHeartbeatsOnly) return notice("warning", `${what} ${heard}`);
    notice(
      "warning",
      `dead-man's switch: no filter here tells when you act, so it is armed by \`hardshare ssh\` or \`forward\` alone: ${window} after their last sign of life the robot is made safe. With plain ssh there is no switch.`,
    );
  }

  onReport(service: string, report: FilterReport): void {
    if (report.type !== "pulse" || this.#unheard.has(service)) return;
    const signs = report.signs ?? report.judged.in;
    const before = this.#signs.get(service) ?? 0;
    this.#signs.set(service, signs);
    const isNew = signs > before || (signs < before && signs > 0); // less: the filter was started again
    // Until READY nobody is there whose silence would mean anything, and programs that prepare the hardware may run.
    if (!isNew || this.#isFiring || !this.#isUp) return;
    const ageMs = this.#options.clock.now() - Date.parse(report.at);
    this.#switch.arm(ageMs >= 0 && ageMs <= OLDEST_PULSE_MS ? ageMs : 0);
  }

  /** @param publicKeys that may log in at the instance */
  onHeartbeat(heartbeat: Heartbeat, publicKeys: readonly string[]): void {
    const ageMs = this.#check.ageMs(heartbeat, publicKeys);
    if (ageMs === undefined || this.#isFiring) return;
    if (this.#isByHeartbeatsOnly && ageMs < this.#options.windowS * 1000) this.#switch.arm(ageMs);
    else this.#switch.hear(ageMs);
  }

  [Symbol.dispose](): void {
    this.#switch[Symbol.dispose]();
  }

  #fire(): void {
    const { parts, windowS, notice, isEnding } = this.#options;
    if (isEnding()) return;
    this.#isFiring = true;
    const hold = parts.holdServices();
    notice(
      "alert",
      `dead-man's switch: nothing was heard from the user for ${formatDuration(windowS)}; nothing passes until the robot is safe`,
    );
    void parts.inTurn(async () => {
      await hold.settled;
      if (!isEnding()) await this.#makeSafe();
      this.#isFiring = false;
      hold.release();
    });
  }

  async #makeSafe(): Promise<void> {
    const { parts, makeSafe, notice, onUnsafe } = this.#options;
    if (parts.contract.safe_state.length > 0) {
      const failure = await runSafeState({ ...this.#options, runPrograms: makeSafe });
      if (failure !== undefined) return onUnsafe(`dead-man's switch: safe_state: ${failure.message}`);
    }
    notice("info", "the robot is safe after the user's silence; messages pass again");
  }
}

/** A filter `tcp` judges connections: what its user does on one, or whether he does, nobody tells. */
function isUnheard({ filter }: Service): boolean {
  return filter === "tcp";
}
