import { AppError } from "@hardshare/protocol";
import type { Stopped } from "./control-client.ts";
import type { ControlActions } from "./control-server.ts";
import type { OpenedCore } from "./open-host-core.ts";

/**
 * What a process answers that stands in for the daemon for a while: E-stop, so that nobody takes it for a daemon that
 * hangs, and how it is; all else is refused.
 * @param stand.reason why there is no daemon, for people
 */
export function standInActions(
  { core, host }: OpenedCore,
  stand: { reason: string; estop: (id: string, actor: string) => Stopped },
): ControlActions {
  const refuse = async (): Promise<never> => {
    throw new AppError("wrong_state", `${stand.reason}: try again when it is done`);
  };
  return {
    status: () => ({
      pid: process.pid,
      server: host.server,
      host: host.hostId,
      isConnected: false,
      connectionProblem: stand.reason,
      deployments: core.keepers.all.map((keeper) => keeper.status()),
    }),
    estop: stand.estop,
    start: refuse,
    stop: refuse,
    reload: refuse,
    check: refuse,
  };
}
