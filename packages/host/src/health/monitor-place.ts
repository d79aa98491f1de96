import type { Clock } from "@hardshare/runtime";
import type { LoadedContract } from "../contract/load-contract.ts";
import type { HostTools } from "../instance/instance-parts.ts";
import { killProcessesOfDeployment } from "../programs/labelled-processes.ts";
import { type ProgramPlace, programEnvironment } from "../programs/program-place.ts";

/** Names of the program of `cooldown` and, followed by their number, of monitors. */
export const COOLDOWN_EVENT = "cooldown";
export const MONITOR_EVENT = "monitor.";

/** Kills all programs that look after the hardware of a deployment. @throws AppError as `killLabelledProcesses` */
export function killMonitors(deploymentId: string, clock: Clock): Promise<void> {
  return killProcessesOfDeployment(deploymentId, (event) => event === COOLDOWN_EVENT || event.startsWith(MONITOR_EVENT), clock);
}

/**
 * With what a program that looks after the hardware runs: it belongs to the deployment, not to the instance of the moment,
 * whose end it outlives.
 * @param event its name, which no other program of the deployment that runs at the same time has
 */
export function monitorPlace(
  tools: Pick<HostTools, "environment" | "launcher">,
  deploymentId: string,
  event: string,
  { folder }: LoadedContract,
): ProgramPlace {
  const env = programEnvironment(tools.environment, { instanceId: "", deploymentId, user: "" }, event);
  return { folder, env, launcher: tools.launcher };
}
