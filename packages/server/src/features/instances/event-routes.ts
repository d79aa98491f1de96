import type { Database } from "@hardshare/db";
import { parseWith } from "@hardshare/protocol";
import type { Clock, Logger } from "@hardshare/runtime";
import type { FastifyInstance } from "fastify";
import * as z from "zod";
import { callerOf, NEEDS_CALLER } from "../../http/caller.ts";
import { OpenLimit } from "../../http/open-limit.ts";
import type { WakeUpRouter } from "../../wake-ups/wake-up-router.ts";
import type { TokenService } from "../tokens/token-service.ts";
import { watchToken } from "../tokens/token-watch.ts";
import { streamInstanceEvents } from "./event-stream.ts";
import { getInstanceAs, instanceIdIn } from "./policy.ts";

const EventNumber = z
  .string()
  .regex(/^\d{1,15}$/, "expected the number of an event")
  .transform(Number);
const Query = z.object({ after: EventNumber.optional() });
const Headers = z.object({ "last-event-id": z.union([z.literal("").transform(() => 0), EventNumber]).optional() });

/** Event streams at the same time, with one token and in all, at this replica. */
const MAX_STREAMS = { perKey: 32, total: 2000 };

export interface EventRouteDeps {
  database: Database;
  wakeUps: WakeUpRouter;
  tokens: TokenService;
  clock: Clock;
  logger: Logger;
}

/** `GET /instance/ID/events`: state and timeline as server-sent events, from `Last-Event-ID` or `?after=`. */
export function addEventRoutes(app: FastifyInstance, deps: EventRouteDeps): void {
  const open = new OpenLimit({ what: "event streams", ...MAX_STREAMS });
  app.get("/instance/:id/events", NEEDS_CALLER, async (request, reply) => {
    const caller = callerOf(request);
    const id = instanceIdIn(request.params);
    const { after } = parseWith(Query, request.query, "query");
    const { "last-event-id": lastId } = parseWith(Headers, request.headers, "headers");
    await deps.database.transaction((tx) => getInstanceAs(deps.database, tx, { id, caller, roles: ["user", "owner", "superuser"] }));
    using _counted = open.enter(caller.tokenSha256);

    const response = reply.raw;
    reply.hijack();
    for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) response.setHeader(name, value);
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no" });
    response.flushHeaders();
    using _watch = watchToken(deps, caller, () => response.destroy());
    try {
      await streamInstanceEvents(deps, { instanceId: id, afterId: lastId ?? after ?? 0, response });
    } catch (error) {
      deps.logger.error("an event stream failed; its reader comes back by itself", { instanceId: id, error });
      response.destroy();
    }
  });
}
