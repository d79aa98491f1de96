import type { Database, InstanceFilter } from "@hardshare/db";
import { AppError, InstanceId, type InstancesList, type InstanceState, type LaunchAnswer, parseWith } from "@hardshare/protocol";
import type { FastifyInstance, FastifyRequest } from "fastify";
import * as z from "zod";
import { type Caller, callerOf, NEEDS_CALLER } from "../../http/caller.ts";
import { pageCount, PagingFields, QueryFlag } from "../../http/queries.ts";
import type { InstanceService } from "./instance-service.ts";
import { readLaunchRequest } from "./launch-request.ts";
import type { LaunchService } from "./launch-service.ts";
import { instanceIdIn } from "./policy.ts";
import { listedInstance } from "./views.ts";

const NewPath = z.object({ x: z.string().optional() });
const ListPath = z.object({
  type: z
    .string()
    .regex(/^[a-zA-Z\d_-]{1,64}$/, "expected a workspace type: letters, digits, '_' or '-'")
    .optional(),
});
const ListQuery = z.object({
  include_terminated: QueryFlag,
  include_init_fail: QueryFlag,
  details: QueryFlag,
  sort_by: z.enum(["dec_start_date", "inc_start_date"], { error: "expected dec_start_date or inc_start_date" }).default("dec_start_date"),
  user: z.string().max(100).optional(),
  ...PagingFields,
});

/** `/new…`, `/instances…`, `/instance/ID`, `/instance/ID/sshkey`, `/terminate/ID`. */
export function addInstanceRoutes(
  app: FastifyInstance,
  deps: { database: Database; launches: LaunchService; instances: InstanceService },
): void {
  const { database, launches, instances } = deps;

  const launch = async (request: FastifyRequest): Promise<LaunchAnswer> => {
    const { x } = parseWith(NewPath, request.params, "path");
    const wanted = readLaunchRequest(x, request.body);
    const launched = await launches.launch(callerOf(request), wanted);
    const tellsKey = wanted.wantsKeyInAnswer && launched.madeKey !== null;
    return { success: true, id: launched.instance.id, ...(tellsKey ? { sshkey: launched.madeKey ?? undefined } : {}) };
  };
  app.post("/new", NEEDS_CALLER, launch);
  app.post("/new/:x", NEEDS_CALLER, launch);

  const list = async (request: FastifyRequest): Promise<InstancesList> => {
    const caller = callerOf(request);
    const { type } = parseWith(ListPath, request.params, "path");
    const query = parseWith(ListQuery, request.query, "query");
    const states: InstanceState[] = ["INIT", "READY"];
    if (query.include_terminated) states.push("TERMINATING", "TERMINATED");
    if (query.include_init_fail) states.push("INIT_FAIL");
    const filter: InstanceFilter = { ...userFilter(caller, query.user), ...(type === undefined ? {} : { type }), states };
    const found = await database.transaction((tx) =>
      database.instances.list(tx, {
        filter,
        order: query.sort_by === "dec_start_date" ? "newest" : "oldest",
        page: { page: query.page, maxPerPage: query.max_per_page },
      }),
    );
    return {
      workspace_instances: found.items.map((item) => (query.details ? listedInstance(item) : item.instance.id)),
      workspace_deployments: found.items.map((item) => item.instance.deploymentId),
      page_count: pageCount(found.total, query.max_per_page),
    };
  };
  app.get("/instances", NEEDS_CALLER, list);
  app.get("/instances/:type", NEEDS_CALLER, list);

  app.get("/instance/:id", NEEDS_CALLER, (request) => instances.view(callerOf(request), instanceIdIn(request.params)));

  app.get("/instance/:id/sshkey", NEEDS_CALLER, async (request) => ({
    key: await instances.privateKey(callerOf(request), instanceIdIn(request.params)),
  }));

  app.post("/terminate/:id", NEEDS_CALLER, async (request, reply) => {
    await instances.terminate(callerOf(request), instanceIdIn(request.params), ["user", "owner", "superuser"]);
    return reply.send();
  });

  app.post("/hardshare/terminate/:id", NEEDS_CALLER, async (request, reply) => {
    await instances.terminate(callerOf(request), instanceIdIn(request.params), ["owner", "superuser"]);
    return reply.send();
  });
}

/** Everybody lists the own instances; a superuser those of `user`, with `*` those of all; a token for one instance that one. */
function userFilter(caller: Caller, user: string | undefined): Pick<InstanceFilter, "user" | "id"> {
  if (caller.claims.in !== undefined) return { id: parseWith(InstanceId, caller.claims.in, "token: in") };
  if (user === undefined || user === caller.user) return { user: caller.user };
  if (!caller.isSuperuser) {
    throw new AppError("access_denied", "user: only a superuser may list the instances of others", { details: { field: "user" } });
  }
  return user === "*" ? {} : { user };
}
