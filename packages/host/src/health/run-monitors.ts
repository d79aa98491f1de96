import { AppError, type Monitor } from "@hardshare/protocol";
import { type Clock, findLauncher } from "@hardshare/runtime";
import { type LoadedContract, loadContract } from "../contract/load-contract.ts";
import type { HostTools } from "../instance/instance-parts.ts";
import { runLifecycleProgram } from "../programs/run-program.ts";
import { contractFile, readHostConfig } from "../registration/host-config.ts";
import { MONITOR_EVENT, monitorPlace } from "./monitor-place.ts";

export interface RunMonitorsOptions {
  home: string;
  /** Of this host's configuration. */
  deploymentId: string;
  environment: Readonly<Record<string, string | undefined>>;
  clock: Clock;
  /** Ends what runs. */
  signal: AbortSignal;
}

/** What one run of a monitor came to. */
export interface MonitorResult {
  run: string;
  onFail: Monitor["on_fail"];
  /** Why it failed, with its last lines; null when it passed. */
  failure: { message: string; log: string } | null;
}

/**
 * Runs the monitors of a deployment's contract once, one after the other, in this process: beside those of a host daemon.
 * @throws AppError `not_configured`, `config_invalid`, `cancelled`
 */
export async function runMonitors(options: RunMonitorsOptions): Promise<MonitorResult[]> {
  const { home, deploymentId, environment, clock, signal } = options;
  const config = await readHostConfig(home);
  const deployment = config.deployments.find(({ id }) => id === deploymentId);
  if (deployment === undefined) throw new AppError("not_configured", `deployment ${deploymentId} is not in the configuration of this host`);
  const loaded = await loadContract(contractFile(home, deployment));
  return runMonitorsOf(loaded, { deploymentId, tools: { environment, launcher: await findLauncher() }, clock, signal });
}

/** As `runMonitors`, for a contract that was read. @throws AppError `cancelled` */
export async function runMonitorsOf(
  loaded: LoadedContract,
  {
    deploymentId,
    tools,
    clock,
    signal,
  }: Pick<RunMonitorsOptions, "deploymentId" | "clock" | "signal"> & { tools: Pick<HostTools, "environment" | "launcher"> },
): Promise<MonitorResult[]> {
  const results: MonitorResult[] = [];
  for (const { run, timeout, on_fail: onFail } of loaded.contract.monitors) {
    // Found by a name of its own: what is killed at its end is not the same program of the daemon.
    const place = monitorPlace(tools, deploymentId, `${MONITOR_EVENT}once.${process.pid}`, loaded);
    const outcome = await runLifecycleProgram({ run, timeout }, { place, clock, signal, onOutput: () => {} });
    results.push({ run, onFail, failure: outcome.isOk ? null : { message: outcome.message, log: outcome.log } });
  }
  return results;
}
