import { Dissolution, type DissolvedAnswer, formatMinuteUtc, parseWith } from "@hardshare/protocol";
import type { FastifyInstance } from "fastify";
import type * as z from "zod";
import { callerOf, NEEDS_CALLER } from "../../http/caller.ts";
import { deploymentIdIn } from "../deployments/lookup.ts";
import type { DissolutionService } from "./dissolution-service.ts";

/** `POST /hardshare/dis/ID`; the existing client sends no body. */
export function addDissolutionRoutes(app: FastifyInstance, { dissolutions }: { dissolutions: DissolutionService }): void {
  app.post("/hardshare/dis/:id", NEEDS_CALLER, async (request): Promise<z.infer<typeof DissolvedAnswer>> => {
    const { reason = "dissolved by its owner", force } = parseWith(Dissolution, request.body ?? {}, "request body");
    const deployment = await dissolutions.dissolve(callerOf(request), deploymentIdIn(request.params), { reason, force });
    return {
      id: deployment.id,
      date_created: formatMinuteUtc(deployment.createdAt),
      date_dissolved: formatMinuteUtc(deployment.dissolvedAt ?? deployment.createdAt),
      origin: deployment.origin,
    };
  });
}
