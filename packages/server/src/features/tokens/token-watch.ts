import type { Clock, Logger } from "@hardshare/runtime";
import type { Caller } from "../../http/caller.ts";
import { Refresher } from "../../wake-ups/refresher.ts";
import { scopes } from "../../wake-ups/topics.ts";
import type { WakeUpRouter } from "../../wake-ups/wake-up-router.ts";
import type { TokenService } from "./token-service.ts";

/**
 * Watches a token in whose name something goes on (an event stream, a tunnel): calls `cut` once when it is revoked or
 * expires, and when that cannot be found out.
 */
export function watchToken(
  deps: { wakeUps: WakeUpRouter; tokens: TokenService; clock: Clock; logger: Logger },
  caller: Caller,
  cut: (reason: string) => void,
): Disposable {
  const refresher = new Refresher(
    async () => {
      if (await deps.wakeUps.look(() => deps.tokens.isRevoked(caller.tokenSha256))) cut("the token was revoked");
    },
    (error) => {
      deps.logger.warn("cannot check a token; what runs in its name is cut", { user: caller.user, error });
      cut("the token cannot be checked");
    },
  );
  const subscription = deps.wakeUps.subscribe(scopes.token(caller.tokenSha256), () => refresher.request(null));
  const expiry = deps.clock.after(caller.expiresAt.getTime() - deps.clock.now(), () => cut("the token expired"));
  refresher.request(null); // it may have been revoked between the first check and the subscription
  return {
    [Symbol.dispose]() {
      subscription[Symbol.dispose]();
      expiry[Symbol.dispose]();
      void refresher.stop();
    },
  };
}
