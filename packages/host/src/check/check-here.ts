/**
 * `hardshare check` on this computer: by the daemon when one runs, so that nothing touches the hardware beside its
 * instances; else by this process with a core of its own, which holds the daemon's folders meanwhile and answers E-stop.
 */
import { type CheckEvent, type DeploymentId, makeFinding } from "@hardshare/protocol";
import { OwnedParts } from "@hardshare/runtime";
import { checkAtDaemon, daemonStatus } from "../daemon/control-client.ts";
import { ControlServer } from "../daemon/control-server.ts";
import type { DaemonStatus } from "../daemon/daemon-status.ts";
import { openHostCore, type Surroundings } from "../daemon/open-host-core.ts";
import { controlSocket } from "../daemon/socket-place.ts";
import { standInActions } from "../daemon/stand-in-actions.ts";
import { checkDeployment, type CheckWishes } from "./check-deployment.ts";

export interface CheckHereOptions extends Surroundings, Omit<CheckWishes, "refusal"> {
  /** Ids of deployments of this host's configuration. */
  deployments: readonly string[];
  /** Why the server lets nobody launch, by deployment: of these nothing is tried. */
  refusals?: ReadonlyMap<string, string>;
  /** Aborting ends it; a trial is undone first. */
  signal: AbortSignal;
  emit: (event: CheckEvent) => void;
}

/**
 * Checks deployments of this host, one after the other.
 * @throws AppError `not_configured`, `config_invalid`, `conflict` (a daemon starts, or does not answer), `cancelled`
 */
export async function checkHere(options: CheckHereOptions): Promise<void> {
  const { state, deployments, failFast, signal } = options;
  let hasErrors = false;
  const emit = (event: CheckEvent) => {
    hasErrors ||= event.kind === "finding" && event.finding.severity === "error";
    options.emit(event);
  };
  const status = await daemonStatus({ state, signal });
  for (const finding of findOffers(status, deployments)) emit({ kind: "finding", finding });
  const isOver = () => failFast && hasErrors;
  if (status === undefined) return checkWithoutDaemon({ ...options, emit }, isOver);
  for (const id of deployments) {
    if (isOver()) return;
    await checkAtDaemon({ ...options, id, refusal: options.refusals?.get(id), emit });
  }
}

async function checkWithoutDaemon(options: CheckHereOptions, isOver: () => boolean): Promise<void> {
  await using parts = new OwnedParts();
  const opened = await openHostCore(options, parts);
  const { core } = opened;
  await Promise.all(core.keepers.configured.map((keeper) => keeper.offer.reload()));
  await core.restoreTrials(); // begun before E-stop is taken, which so stops what undoes them
  const stand = standInActions(opened, {
    reason: "no host daemon runs; `hardshare check` tries the deployment out",
    estop: (id, actor) => {
      const keeper = core.keepers.find(id);
      return { deployment: keeper.deploymentId, instance: keeper.estopHere(actor) };
    },
  });
  parts.own({ [Symbol.asyncDispose]: () => core.part(true) }); // after the last E-stop that was taken
  parts.own(await ControlServer.listen(controlSocket(options.state), stand, options.clock));
  await Promise.all(core.keepers.configured.map((keeper) => keeper.trials.settled));
  for (const id of options.deployments) {
    if (isOver()) return;
    await checkDeployment({ ...options, refusal: options.refusals?.get(id), keeper: core.keepers.find(id), tools: core.tools });
  }
}

/** What keeps users from launching that has nothing to do with the contract. */
function findOffers(status: DaemonStatus | undefined, deployments: readonly string[]) {
  if (status === undefined) return [makeFinding("not_offered", { deployment: null, cause: "no host daemon runs" })];
  const offered = new Set(status.deployments.filter(({ isAdvertised }) => isAdvertised).map(({ id }) => id));
  const missing = deployments.filter((id) => !offered.has(id as DeploymentId));
  const findings = missing.map((deployment) =>
    makeFinding("not_offered", { deployment, cause: "the host daemon runs, and does not offer it" }),
  );
  if (status.isConnected) return findings;
  const cause = `the host daemon is not connected to ${status.server}: ${status.connectionProblem ?? "it is dialling"}`;
  return [makeFinding("daemon_offline", { deployment: null, cause }), ...findings];
}
