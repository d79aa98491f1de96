import type { EstopAnswer } from "@hardshare/protocol";
import type { FastifyInstance } from "fastify";
import { callerOf } from "../../http/caller.ts";
import { deploymentIdIn } from "../deployments/lookup.ts";
import { instanceIdIn } from "../instances/policy.ts";
import type { EstopService } from "./estop-service.ts";

const URGENT = { config: { needsCaller: true, isUrgent: true } } as const;

/** `POST /instance/ID/estop`, `POST /deployment/ID/estop`. */
export function addEstopRoutes(app: FastifyInstance, { estops }: { estops: EstopService }): void {
  app.post("/instance/:id/estop", URGENT, (request): Promise<EstopAnswer> =>
    estops.pressInstance(callerOf(request), instanceIdIn(request.params)),
  );
  app.post("/deployment/:id/estop", URGENT, (request): Promise<EstopAnswer> =>
    estops.pressDeployment(callerOf(request), deploymentIdIn(request.params)),
  );
}
