import type { Database } from "@hardshare/db";
import type { InstanceId } from "@hardshare/protocol";
import type { Clock, Logger } from "@hardshare/runtime";
import type { TokenService } from "../features/tokens/token-service.ts";
import { watchToken } from "../features/tokens/token-watch.ts";
import type { Caller } from "../http/caller.ts";
import { Refresher } from "../wake-ups/refresher.ts";
import { scopes } from "../wake-ups/topics.ts";
import type { WakeUpRouter } from "../wake-ups/wake-up-router.ts";

export interface WatchDeps {
  database: Database;
  wakeUps: WakeUpRouter;
  tokens: TokenService;
  clock: Clock;
  logger: Logger;
}

/** Calls `cut` when an instance is no longer READY, its user's token no longer good, or either cannot be found out. */
export function watchReady(deps: WatchDeps, { id, caller }: { id: InstanceId; caller: Caller }, cut: (reason: string) => void): Disposable {
  const refresher = new Refresher(
    async () => {
      const found = await deps.wakeUps.look(() => deps.database.transaction((tx) => deps.database.instances.get(tx, id)));
      if (found?.instance.state !== "READY") cut("the instance has ended");
    },
    (error) => {
      deps.logger.warn("cannot check an instance; what leads to it is cut", { instanceId: id, error });
      cut("the instance cannot be checked");
    },
  );
  const subscription = deps.wakeUps.subscribe(scopes.instance(id), () => refresher.request(null));
  const watch = watchToken(deps, caller, cut);
  refresher.request(null); // it may have ended between the first check and the subscription
  return {
    [Symbol.dispose]() {
      subscription[Symbol.dispose]();
      watch[Symbol.dispose]();
      void refresher.stop();
    },
  };
}
