import { type ReportBody, toAppError } from "@hardshare/protocol";
import type { LoadedContract } from "../contract/load-contract.ts";
import type { DeploymentKeeper } from "../daemon/deployment-keeper.ts";
import type { TrialResult } from "../trial/trial.ts";
import type { Findings } from "./findings.ts";

interface TrialCheck {
  keeper: DeploymentKeeper;
  loaded: LoadedContract;
  /** Whether all steps are done; else the services alone are started, and nothing is moved. */
  isWhole: boolean;
  signal: AbortSignal;
  findings: Findings;
}

/** Launches and ends the deployment on this computer. @throws AppError `cancelled` */
export async function checkTrial({ keeper, loaded, isWhole, signal, findings }: TrialCheck): Promise<void> {
  if (!isWhole && loaded.contract.services.length === 0) return;
  let result: TrialResult;
  try {
    result = await keeper.trials.run({
      loaded,
      isWhole,
      signal,
      onReport: (body) => tell(body, findings),
    });
  } catch (error) {
    signal.throwIfAborted();
    const { code, message } = toAppError(error);
    if (code === "wrong_state") return findings.add("trial_skipped", message);
    throw error;
  }
  const { isUp, failure, residue, isStopped } = result;
  if (failure !== undefined) {
    findings.add(failure.step === "filters" ? "service_failed" : "trial_failed", `${failure.step}: ${failure.log}`);
  }
  if (residue.length > 0) findings.add("trial_unclean", residue.join("; "));
  if (isStopped) findings.add("trial_failed", "somebody pressed E-stop during the trial");
  signal.throwIfAborted();
  if (!isWhole || failure !== undefined || residue.length > 0 || isStopped) return;
  if (isUp) findings.add("trial_passed", "launched and ended with all its steps; nothing is left");
  else
    findings.add(
      "trial_skipped",
      "the trial was ended before it was whole, because a monitor failed, or the host daemon ends or offers it no more",
    );
}

function tell(body: ReportBody, findings: Findings): void {
  if (body.kind === "step" && body.phase === "started") findings.progress(`trial: ${body.step}`);
  if (body.kind === "notice" && body.level !== "info") findings.add("trial_warned", body.text);
}
