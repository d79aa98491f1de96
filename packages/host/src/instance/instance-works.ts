import { killLabelledProcesses } from "../programs/labelled-processes.ts";
import { endActions } from "./end-actions.ts";
import type { StepAction } from "./execute.ts";
import type { InstanceParts } from "./instance-parts.ts";
import { launchActions } from "./launch-actions.ts";
import type { EndStep, LaunchStep } from "./plan.ts";

/** What the steps of one instance do on this computer. Simulations put others in their place. */
export interface InstanceWorks {
  readonly launch: Readonly<Record<LaunchStep, StepAction>>;
  readonly end: Readonly<Record<EndStep, StepAction>>;
  /** Ends what the daemon before left running of the instance, but its container. */
  endFormer(): Promise<void>;
}

/** Processes, sockets and containers. */
export function instanceWorks(parts: InstanceParts): InstanceWorks {
  const { facts, tools } = parts;
  return {
    launch: launchActions(parts),
    end: endActions(parts),
    endFormer: () => killLabelledProcesses(facts.instanceId, tools.clock),
  };
}
