/**
 * What `hardshare check` looks at on the host's side: all that a launch needs, and what the contract leaves open. Called by
 * the host daemon, or by the command where none runs. It moves nothing but in a trial, which the keeper admits.
 */
import { type CheckEvent, toAppError } from "@hardshare/protocol";
import type { LoadedContract } from "../contract/load-contract.ts";
import type { DeploymentKeeper } from "../daemon/deployment-keeper.ts";
import { runMonitorsOf } from "../health/run-monitors.ts";
import type { HostTools } from "../instance/instance-parts.ts";
import { checkDevices } from "./check-devices.ts";
import { checkDisk } from "./check-disk.ts";
import { checkProgramFiles } from "./check-programs.ts";
import { checkRulesFiles } from "./check-rules-files.ts";
import { checkTargets } from "./check-targets.ts";
import { checkTrial } from "./check-trial.ts";
import { findContractRisks } from "./contract-risks.ts";
import { Findings } from "./findings.ts";

/** What of a deployment is checked, and how. */
export interface CheckWishes {
  /** Whether it is launched on trial. */
  launches: boolean;
  /** Whether the first error ends it. */
  failFast: boolean;
  /** Why the server lets nobody launch it: then nothing is tried. */
  refusal: string | undefined;
}

interface DeploymentCheck extends CheckWishes {
  keeper: DeploymentKeeper;
  tools: HostTools;
  emit: (event: CheckEvent) => void;
  /** Aborting ends it; a trial is undone all the same. */
  signal: AbortSignal;
}

/** Checks one deployment of this host. @throws AppError `cancelled`, or the signal's reason */
export async function checkDeployment({ keeper, tools, emit, signal, launches, failFast, refusal }: DeploymentCheck): Promise<void> {
  const findings = new Findings({ deployment: keeper.deploymentId, failFast, emit });
  findings.progress("contract");
  let loaded: LoadedContract;
  try {
    loaded = await keeper.offer.readContract();
  } catch (error) {
    return findings.add("contract_invalid", toAppError(error).message);
  }
  const { contract } = loaded;
  const { environment, clock } = tools;
  const looks: readonly (readonly [what: string, look: () => Promise<void> | void])[] = [
    ["filter rules", () => checkRulesFiles(loaded, clock, findings)],
    ["programs", () => checkProgramFiles(loaded, environment, findings)],
    ["devices", () => checkDevices(contract, keeper.current !== undefined, findings)],
    // Not beside an instance: some devices take one connection, and leave the one that they have.
    ["targets of filters", () => (keeper.current === undefined ? checkTargets(contract, clock, signal, findings) : undefined)],
    ["monitors", () => checkMonitors(loaded, keeper.deploymentId, tools, signal, findings)],
    ["disk", () => checkDisk(tools.stateFolder, findings)],
    ["container engine and image", () => checkEngine(loaded, tools, findings)],
    ["what the contract leaves open", () => findContractRisks(contract, findings)],
  ];
  for (const [what, look] of looks) {
    if (findings.mustStop) return;
    signal.throwIfAborted();
    findings.progress(what);
    await look();
  }
  if (findings.mustStop) return;
  if (findings.hasErrors) return findings.add("trial_skipped", "an instance would fail for the errors above");
  if (refusal !== undefined) return findings.add("trial_skipped", refusal);
  await checkTrial({ keeper, loaded, isWhole: launches, signal, findings });
}

/** Runs each monitor once, beside those of a host daemon. */
async function checkMonitors(
  loaded: LoadedContract,
  deploymentId: string,
  tools: HostTools,
  signal: AbortSignal,
  findings: Findings,
): Promise<void> {
  for (const { failure } of await runMonitorsOf(loaded, { deploymentId, tools, clock: tools.clock, signal })) {
    if (failure !== null) findings.add("monitor_failed", `${failure.message}${failure.log === "" ? "" : `: ${failure.log}`}`);
  }
}

async function checkEngine({ contract }: LoadedContract, tools: HostTools, findings: Findings): Promise<void> {
  const { provider, image } = contract;
  if (provider === "proxy") return;
  if (process.geteuid?.() !== 0) {
    return findings.add("engine_unusable", "containers need the host daemon to run as root; `provider: proxy` does not");
  }
  try {
    const engine = await tools.engine(provider);
    await engine.version();
    if ((await engine.inspectImage(image)) === undefined) findings.add("image_missing", `the image ${image} is not on this computer`);
  } catch (error) {
    findings.add("engine_unusable", toAppError(error).message);
  }
}
