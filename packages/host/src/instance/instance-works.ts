import { killContainerProcesses, killLabelledProcesses } from "../programs/labelled-processes.ts";
import { KEEPER_EVENT } from "./device-file/keeper-process.ts";
import { closeFilters, endActions } from "./end-actions.ts";
import type { StepAction } from "./execute.ts";
import { runHostPrograms } from "./host-programs.ts";
import type { InstanceParts } from "./instance-parts.ts";
import { launchActions } from "./launch-actions.ts";
import type { EndStep, LaunchStep } from "./plan.ts";

/** What the steps of one instance do on this computer. Simulations put others in their place. */
export interface InstanceWorks {
  readonly launch: Readonly<Record<LaunchStep, StepAction>>;
  readonly end: Readonly<Record<EndStep, StepAction>>;
  /**
   * Ends what the daemon before left running of the instance, but its container, and what keeps its device files. No
   * programs make the hardware safe before that is done.
   */
  endFormer(): Promise<void>;
  /**
   * Nothing more reaches the hardware, whatever the steps are doing: filters and programs are killed, but for those that
   * make it safe, and a container that was given devices or the owner's network. Waits for nobody, least of all the engine.
   */
  cutOff(): Promise<void>;
  /** Runs the programs for the safe state; the caller sees to it that no others do. They are never interrupted. */
  readonly makeSafe: StepAction;
}

/** Processes, sockets and containers. */
export function instanceWorks(parts: InstanceParts): InstanceWorks {
  const { facts, tools } = parts;
  const makeSafe: StepAction = ({ log }) => runHostPrograms(parts, "safe_state", { log, signal: new AbortController().signal });
  return {
    launch: launchActions(parts, makeSafe),
    end: endActions(parts, makeSafe),
    makeSafe,
    // In turn: an E-stop may come at once, and what then makes the hardware safe is nothing of the daemon before.
    endFormer: () => parts.inTurn(() => killLabelledProcesses(facts.instanceId, tools.clock, [KEEPER_EVENT])),
    async cutOff() {
      const { instanceId } = facts;
      const { devices, network } = parts.contract;
      const reachesHardware = devices.length > 0 || network === "open";
      await Promise.all([
        closeFilters(parts),
        reachesHardware ? killContainerProcesses({ instanceId, containerId: parts.containerId }, tools.clock) : undefined,
      ]);
    },
  };
}
