import { AppError, EmailAddress, NewAlert, NewWebhook, parseWith } from "@hardshare/protocol";
import type { FastifyInstance, FastifyRequest } from "fastify";
import * as z from "zod";
import { callerOf, NEEDS_CALLER } from "../../http/caller.ts";
import { deploymentIdIn } from "../deployments/lookup.ts";
import type { HookService } from "./hook-service.ts";

/** Addresses to which one deployment writes. */
const MAX_EMAILS = 10;

/** Where alerts of a deployment go, and alerts of its owner; `/hardshare/…` are the paths that existing clients know. */
export function addHookRoutes(app: FastifyInstance, { hooks }: { hooks: HookService }): void {
  app.get("/deployment/:id/hooks", NEEDS_CALLER, async (request) => hooks.list(callerOf(request), deploymentIdIn(request.params)));

  app.post("/deployment/:id/hook/webhook", NEEDS_CALLER, async (request) => {
    const { url } = parseWith(NewWebhook, request.body ?? {}, "request body");
    return hooks.setWebhook(callerOf(request), deploymentIdIn(request.params), url);
  });

  app.post("/hardshare/hook/email/:id", NEEDS_CALLER, async (request) =>
    hooks.setEmails(callerOf(request), deploymentIdIn(request.params), readEmails(request.body)),
  );

  const alert = async (request: FastifyRequest) => {
    const { msg } = parseWith(NewAlert, request.body ?? {}, "request body");
    return hooks.alert(callerOf(request), deploymentIdIn(request.params), msg);
  };
  app.post("/deployment/:id/alert", NEEDS_CALLER, alert);
  app.post("/hardshare/alert/:id", NEEDS_CALLER, alert);
}

/** The texts are those of the existing API (rerobots-http-api.md §2.6). */
function readEmails(body: unknown): string[] {
  const list = z.object({ emails: z.array(z.unknown()).max(MAX_EMAILS) }).safeParse(body);
  if (!list.success) {
    const expected = `a list of at most ${MAX_EMAILS} addresses`;
    throw new AppError("bad_input", "emails not correct format", { details: { field: "emails", expected } });
  }
  return list.data.emails.map((each) => {
    const email = EmailAddress.safeParse(each);
    if (email.success) return email.data;
    throw new AppError("bad_input", "email not correct format", {
      details: { field: "emails", expected: "an address such as olga@example.org" },
    });
  });
}
