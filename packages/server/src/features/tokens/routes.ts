import { type NewTokenAnswer, NewToken, parseWith, type WhoAmI } from "@hardshare/protocol";
import type { FastifyInstance } from "fastify";
import * as z from "zod";
import { callerOf, NEEDS_CALLER, requireSuperuser, requireWriter } from "../../http/caller.ts";
import type { TokenService } from "./token-service.ts";

const Sha256 = z.object({
  sha256: z
    .string()
    .regex(/^[0-9a-fA-F]{64}$/, "expected the token's SHA-256, 64 hexadecimal digits")
    .transform((text) => text.toLowerCase()),
});

/** `/whoami`, `/token-key`, `/revoke/SHA256`, `/admin/tokens`. */
export function addTokenRoutes(app: FastifyInstance, deps: { tokens: TokenService; tokenPublicPem: string }): void {
  app.get("/whoami", NEEDS_CALLER, async (request): Promise<z.infer<typeof WhoAmI>> => {
    const caller = callerOf(request);
    return { user: caller.user, org: caller.org, superuser: caller.isSuperuser, expires: caller.expiresAt.toISOString() };
  });

  app.get("/token-key", async (_request, reply) => reply.type("application/x-pem-file").send(deps.tokenPublicPem));

  // A token of any scope may be taken out of use with itself.
  app.post("/revoke/:sha256", NEEDS_CALLER, async (request, reply) => {
    const { sha256 } = parseWith(Sha256, request.params, "path");
    await deps.tokens.revoke(callerOf(request), sha256);
    return reply.send();
  });

  app.post("/admin/tokens", NEEDS_CALLER, async (request): Promise<z.infer<typeof NewTokenAnswer>> => {
    requireSuperuser(callerOf(request));
    requireWriter(callerOf(request));
    const body = parseWith(NewToken, request.body ?? {}, "request body");
    const issued = await deps.tokens.issue({ user: body.user, days: body.days, isSuperuser: body.superuser });
    return { token: issued.token, sha256: issued.sha256, expires: issued.expiresAt.toISOString() };
  });
}
