import { AppError } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import { checkDeployment } from "../check/check-deployment.ts";
import type { HostTools } from "../instance/instance-parts.ts";
import { type HostConfig, readHostConfig } from "../registration/host-config.ts";
import type { ControlActions } from "./control-server.ts";
import type { DaemonStatus } from "./daemon-status.ts";
import type { DeploymentKeeper } from "./deployment-keeper.ts";
import type { DeploymentKeepers } from "./deployment-keepers.ts";
import { reloadDeployments } from "./reload-deployments.ts";
import type { ServerLink } from "./server-link.ts";

/** What commands on this computer may ask of the daemon. */
export function controlActions(options: {
  home: string;
  keepers: DeploymentKeepers;
  tools: HostTools;
  link: ServerLink;
  status: () => DaemonStatus;
  /** Takes over a configuration that may have changed. */
  configure: (config: HostConfig) => void;
  onNothingLeft: () => void;
  clock: Clock;
}): ControlActions {
  const { home, keepers, tools, link, configure, clock } = options;
  const checked = new Set<DeploymentKeeper>();
  return {
    status: options.status,
    start: async (id) => {
      configure(await readHostConfig(home));
      await keepers.find(id).offer.openOrThrow();
      await link.settleOffers();
    },
    stop: async (id, isNow) => {
      const chosen =
        id === undefined ? keepers.all.filter((keeper) => keeper.offer.isAdvertised || keeper.current !== undefined) : [keepers.find(id)];
      for (const keeper of chosen) keeper.offer.close();
      await Promise.all(chosen.map((keeper) => keeper.untilFree(isNow)));
      await link.settleOffers();
      if (keepers.all.every((keeper) => !keeper.offer.isAdvertised && keeper.current === undefined)) options.onNothingLeft();
      return chosen.map((keeper) => keeper.deploymentId);
    },
    estop: (id, actor) => {
      const keeper = keepers.find(id);
      return { deployment: keeper.deploymentId, instance: keeper.estopHere(actor) };
    },
    check: async (id, wishes, emit, signal) => {
      configure(await readHostConfig(home));
      const keeper = keepers.find(id);
      // Two would find each other's filters at the devices, and end each other's monitors.
      if (checked.has(keeper)) throw new AppError("busy", `another check of ${keeper.deploymentId} goes on: try again when it is done`);
      checked.add(keeper);
      try {
        await checkDeployment({ ...wishes, keeper, tools, emit, signal });
      } finally {
        checked.delete(keeper);
      }
    },
    reload: async (id) => {
      configure(await readHostConfig(home));
      const reloaded = await reloadDeployments(id === undefined ? keepers.configured : [keepers.find(id)], clock);
      await link.settleOffers();
      return reloaded;
    },
  };
}
