import type { EndReason, FilterReport, Heartbeat } from "@hardshare/protocol";
import { DeadMan } from "../dead-man/dead-man.ts";
import { EmergencyStop } from "./emergency-stop.ts";
import type { StepReporter } from "./execute.ts";
import type { InstanceParts } from "./instance-parts.ts";
import type { InstanceWorks } from "./instance-works.ts";
import { Losses } from "./losses.ts";

interface SafeguardsOptions {
  parts: InstanceParts;
  works: InstanceWorks;
  reporter: StepReporter;
  notice: (level: "info" | "warning" | "alert", text: string) => void;
  isEnding: () => boolean;
  /** Locks the deployment out; never rejects. */
  lockOut: (reason: string) => Promise<void>;
  end: (reason: EndReason) => void;
}

/** What makes the hardware safe beside the plans of an instance: when a part is lost, at an E-stop, when the user falls silent. */
export class Safeguards implements Disposable {
  readonly losses: Losses;
  readonly emergencyStop: EmergencyStop;
  readonly #deadMan: DeadMan | undefined;
  /** OpenSSH public key lines of the user; of an instance that is adopted, as soon as the server has told them. */
  publicKeys: readonly string[];

  constructor(options: SafeguardsOptions) {
    const { parts, works, lockOut, end } = options;
    const { facts, contract, tools } = parts;
    const common = { ...options, clock: tools.clock };
    const lockAndEnd = (reason: EndReason) => async (why: string) => {
      await lockOut(why);
      end(reason);
    };
    this.publicKeys = facts.publicKeys;
    this.losses = new Losses({ ...common, runPrograms: works.makeSafe, onUnsafe: lockAndEnd("filter_lost") });
    this.emergencyStop = new EmergencyStop({ ...common, onUnsafe: lockOut });
    this.#deadMan =
      contract.dead_man === undefined
        ? undefined
        : new DeadMan({ ...common, facts, windowS: contract.dead_man, makeSafe: works.makeSafe, onUnsafe: lockAndEnd("dead_man") });
  }

  /** The instance can be used from now on. */
  announce(): void {
    this.#deadMan?.announce();
  }

  onReport(service: string, report: FilterReport): void {
    this.#deadMan?.onReport(service, report);
  }

  onHeartbeat(heartbeat: Heartbeat): void {
    this.#deadMan?.onHeartbeat(heartbeat, this.publicKeys);
  }

  [Symbol.dispose](): void {
    this.#deadMan?.[Symbol.dispose]();
  }
}
