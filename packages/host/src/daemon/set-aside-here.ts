import { type DeploymentId, toAppError } from "@hardshare/protocol";
import { lockFolder, OwnedParts } from "@hardshare/runtime";
import { isLive } from "../journal/journal-state.ts";
import { Journal } from "../journal/journal.ts";
import { setAside } from "../registration/set-aside.ts";
import { findMarkedTrial, trialFolder } from "../trial/trial-mark.ts";
import { DAEMON_LOCK } from "./open-host-core.ts";

/**
 * Takes a deployment that was dissolved out of this host's configuration where no daemon runs that would do it. Not while
 * something is left of an instance or a trial: the next daemon undoes that, and E-stop goes by the configuration.
 * @returns where the contract is kept; undefined when it is not set aside, or had no contract of its own
 * @throws AppError `config_invalid`
 */
export async function setAsideHere(options: { home: string; state: string; id: DeploymentId }): Promise<string | undefined> {
  const { home, state, id } = options;
  await using parts = new OwnedParts();
  try {
    for (const folder of new Set([state, home])) {
      parts.own(await lockFolder({ folder, name: DAEMON_LOCK, holder: "a host daemon" }));
    }
  } catch (error) {
    if (toAppError(error).code === "conflict") return undefined; // a daemon, which the server tells
    throw error;
  }
  const journal = parts.own(await Journal.open(state));
  const isLeft = [...journal.state.instances.values()].some((instance) => instance.deploymentId === id && isLive(instance));
  const trial = await findMarkedTrial(trialFolder(state, id)).catch(() => "one that cannot be read");
  if (isLeft || trial !== undefined) return undefined;
  return setAside(home, id);
}
