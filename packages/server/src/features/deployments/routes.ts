import type { Database, DeploymentFilter, DeploymentOrder } from "@hardshare/db";
import { type DeploymentsList, type DeploymentView, parseWith } from "@hardshare/protocol";
import type { FastifyInstance, FastifyRequest } from "fastify";
import * as z from "zod";
import { pageCount, PagingFields, QueryFlag, queryInteger } from "../../http/queries.ts";
import { deploymentIdIn, getDeployment } from "./lookup.ts";
import { deploymentView, listedInfo } from "./views.ts";

const ORDERS: Record<string, DeploymentOrder> = {
  inc_wtype: { by: "type", direction: "asc" },
  dec_wtype: { by: "type", direction: "desc" },
  inc_created: { by: "created", direction: "asc" },
  dec_created: { by: "created", direction: "desc" },
  inc_count: { by: "count", direction: "asc" },
  dec_count: { by: "count", direction: "desc" },
};

const WorkspaceType = z.string().regex(/^[a-zA-Z\d_-]{1,64}$/, "expected a workspace type: letters, digits, '_' or '-'");
const TypePath = z.object({ type: WorkspaceType.optional() });

const ListQuery = z.object({
  q: z.string().max(500).optional(),
  types: z.string().max(2000).optional(),
  maxlen: z.union([z.literal("u").transform(() => null), queryInteger(0, 0)]).optional(),
  sort_by: z
    .enum(Object.keys(ORDERS) as [string, ...string[]], { error: `expected one of ${Object.keys(ORDERS).join(", ")}` })
    .default("inc_wtype"),
  info: QueryFlag,
  with_dissolved: QueryFlag,
  ...PagingFields,
});

/** `/`, `/workspaces`, `/deployments[/TYPE]`, `/deployment/ID`. */
export function addDeploymentRoutes(app: FastifyInstance, deps: { database: Database }): void {
  const { database } = deps;

  app.get("/", async () => ({
    workspace_types: "/workspaces",
    workspace_deployments: "/deployments{/workspace_type}",
    deployment_details: "/deployment/{deployment_id}",
    create_instance: "/new/{workspace_type_or_deployment_id}",
    instance_details: "/instance/{instance_id}",
    instance_events: "/instance/{instance_id}/events",
    firewall: "/firewall/{instance_id}",
    terminate_instance: "/terminate/{instance_id}",
    token_key: "/token-key",
  }));

  app.get("/workspaces", async (request) => {
    const query = parseWith(z.object({ with_dissolved: QueryFlag }), request.query, "query");
    const types = await database.transaction((tx) => database.deployments.listTypes(tx, { withDissolved: query.with_dissolved }));
    return { workspace_types: types };
  });

  const list = async (request: FastifyRequest): Promise<DeploymentsList> => {
    const { type } = parseWith(TypePath, request.params, "path");
    const query = parseWith(ListQuery, request.query, "query");
    const filter: DeploymentFilter = {
      ...(query.q === undefined ? {} : { query: query.q }),
      ...typeFilter(query.types ?? type),
      ...(typeof query.maxlen === "number" ? { maxQueueLength: query.maxlen } : {}),
      withDissolved: query.with_dissolved,
    };
    const found = await database.transaction((tx) =>
      database.deployments.list(tx, {
        filter,
        order: ORDERS[query.sort_by] ?? { by: "type", direction: "asc" },
        page: { page: query.page, maxPerPage: query.max_per_page },
      }),
    );
    return {
      workspace_deployments: found.items.map((deployment) => deployment.id),
      page_count: pageCount(found.total, query.max_per_page),
      ...(query.info ? { info: Object.fromEntries(found.items.map((deployment) => [deployment.id, listedInfo(deployment)])) } : {}),
    };
  };
  app.get("/deployments", list);
  app.get("/deployments/:type", list);

  app.get("/deployment/:id", async (request): Promise<DeploymentView> => {
    const id = deploymentIdIn(request.params);
    const deployment = await database.transaction((tx) => getDeployment(database, tx, id));
    return deploymentView(deployment, request.caller);
  });
}

/** Types separated by commas; `!x` (also `%21x`, encoded twice) means all but `x`. */
function typeFilter(types: string | undefined): Pick<DeploymentFilter, "includeTypes" | "excludeTypes"> {
  const names = (types ?? "")
    .split(",")
    .map((name) => name.trim().replace(/^%21/, "!"))
    .filter((name) => name !== "" && name !== "!");
  const excludeTypes = names.filter((name) => name.startsWith("!")).map((name) => name.slice(1));
  const includeTypes = names.filter((name) => !name.startsWith("!"));
  return { ...(includeTypes.length > 0 ? { includeTypes } : {}), ...(excludeTypes.length > 0 ? { excludeTypes } : {}) };
}
