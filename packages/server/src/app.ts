import type { IncomingMessage } from "node:http";
import type { Database } from "@hardshare/db";
import { AppError } from "@hardshare/protocol";
import type { Clock, Logger, Random } from "@hardshare/runtime";
import { fastify, type FastifyInstance, type FastifyReply } from "fastify";
import { addAccessRuleRoutes } from "./features/access-rules/routes.ts";
import { addDeploymentRoutes } from "./features/deployments/routes.ts";
import type { EstopService } from "./features/estops/estop-service.ts";
import { DissolutionService } from "./features/dissolutions/dissolution-service.ts";
import { addDissolutionRoutes } from "./features/dissolutions/routes.ts";
import { addEstopRoutes } from "./features/estops/routes.ts";
import { addFirewallRoutes } from "./features/firewalls/routes.ts";
import { HookService } from "./features/hooks/hook-service.ts";
import { addHookRoutes } from "./features/hooks/routes.ts";
import { addHostRoutes } from "./features/hosts/routes.ts";
import { addHubRoutes } from "./features/hubs/routes.ts";
import { addEventRoutes } from "./features/instances/event-routes.ts";
import { InstanceService } from "./features/instances/instance-service.ts";
import { LaunchService } from "./features/instances/launch-service.ts";
import { addInstanceRoutes } from "./features/instances/routes.ts";
import { LockoutService } from "./features/lockouts/lockout-service.ts";
import { addLockoutRoutes } from "./features/lockouts/routes.ts";
import { addTokenRoutes } from "./features/tokens/routes.ts";
import type { TokenService } from "./features/tokens/token-service.ts";
import { addUserRoutes } from "./features/users/routes.ts";
import { type Identify, installAuthentication } from "./http/authentication.ts";
import { CORS_HEADERS, installCors } from "./http/cors.ts";
import { errorBody, installErrorAnswers } from "./http/error-answers.ts";
import { installJsonBodies } from "./http/json-bodies.ts";
import { type RateLimits, RateWindows } from "./http/rate-limits.ts";
import type { Strangers } from "./http/strangers.ts";
import { installTextChecks } from "./http/text-checks.ts";
import type { ServerSecrets } from "./secrets/server-secrets.ts";
import type { WakeUpRouter } from "./wake-ups/wake-up-router.ts";

export interface AppDeps {
  database: Database;
  wakeUps: WakeUpRouter;
  tokens: TokenService;
  estops: EstopService;
  identify: Identify;
  secrets: ServerSecrets;
  rateLimits: RateLimits;
  addressOf: (request: IncomingMessage) => string;
  strangers: Strangers;
  /** Whether there is a mail server. */
  hasMail: boolean;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** How long a client may take to send one request. Answers may take longer: an event stream lasts as long as its instance. */
const REQUEST_TIMEOUT_MS = 30_000;

/** The HTTP API, not listening yet. Routes translate between HTTP and the features; channels and tunnels are beside it. */
export function createApp(deps: AppDeps): FastifyInstance {
  const app = fastify({
    logger: false,
    exposeHeadRoutes: false,
    forceCloseConnections: true,
    requestTimeout: REQUEST_TIMEOUT_MS,
    // A URL that cannot be read reaches no route and no hook.
    frameworkErrors: (error, _request, reply) => {
      const refusal = new AppError("bad_input", `path: ${error.message}`, { details: { field: "path" }, cause: error });
      void (reply as FastifyReply).code(refusal.httpStatus).headers(CORS_HEADERS).send(errorBody(refusal));
    },
  });
  installErrorAnswers(app, deps);
  installCors(app);
  installAuthentication(app, {
    identify: deps.identify,
    recognize: (token) => deps.tokens.recognize(token),
    addressOf: deps.addressOf,
    limits: deps.rateLimits,
    windows: new RateWindows(deps.clock),
    strangers: deps.strangers,
  });
  deps.strangers.watch(app.server);
  installJsonBodies(app);
  installTextChecks(app);

  const keyed = { ...deps, serverKey: deps.secrets.identity.publicKey, sealingKey: deps.secrets.sealingKey };
  addDeploymentRoutes(app, deps);
  addAccessRuleRoutes(app, deps);
  addLockoutRoutes(app, { lockouts: new LockoutService(deps) });
  addDissolutionRoutes(app, { dissolutions: new DissolutionService(deps) });
  addInstanceRoutes(app, { ...deps, launches: new LaunchService(keyed), instances: new InstanceService(keyed) });
  addEventRoutes(app, deps);
  addEstopRoutes(app, deps);
  addFirewallRoutes(app, deps);
  addHostRoutes(app, keyed);
  addHubRoutes(app, keyed);
  addTokenRoutes(app, { tokens: deps.tokens, tokenPublicPem: deps.secrets.tokenPublicPem });
  addHookRoutes(app, { hooks: new HookService(keyed) });
  addUserRoutes(app, deps);
  return app;
}
