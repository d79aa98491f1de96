import type { Database, DeploymentStatus, Host, StoredEvent, Transaction } from "@hardshare/db";
import {
  AppError,
  DeploymentId,
  formatMinuteUtc,
  formatNaiveUtc,
  HostId,
  NewDeployment,
  type NewDeploymentAnswer,
  type OwnedDeployments,
  parseWith,
} from "@hardshare/protocol";
import type { Clock, Random } from "@hardshare/runtime";
import type { FastifyInstance } from "fastify";
import * as z from "zod";
import { type Caller, callerOf, NEEDS_CALLER, requireUnconstrained, requireWriter } from "../../http/caller.ts";
import { QueryFlag } from "../../http/queries.ts";
import { ownerNameOf, requireOwner } from "../deployments/ownership.ts";
import { lockoutView, restView } from "../deployments/views.ts";
import { findDissolution } from "../dissolutions/dissolution-service.ts";
import { requireProof } from "./registration-proof.ts";

const DEFAULT_TYPE = "user_provided";
const ABOUT_ID = { details: { field: "id" } };
/** Newest alerts that a list shows of each deployment. */
const ALERTS_SHOWN = 5;

export interface HostRouteDeps {
  database: Database;
  clock: Clock;
  random: Random;
  /** The server's identity key, which hosts pin. */
  serverKey: string;
}

/** `/hardshare/register`, `/hardshare/list`: owners share workspace deployments. */
export function addHostRoutes(app: FastifyInstance, deps: HostRouteDeps): void {
  const { database, clock, random } = deps;

  app.post("/hardshare/register", NEEDS_CALLER, async (request): Promise<z.infer<typeof NewDeploymentAnswer>> => {
    const caller = callerOf(request);
    requireWriter(caller);
    if (caller.isGuest) throw new AppError("access_denied", "guests share nothing; use a token of a user");
    const body = parseWith(NewDeployment, request.body ?? {}, "request body");
    const owner = ownerNameOf(caller);
    const at = new Date(clock.now());
    if (body.host !== undefined) requireProof("host", body.host.key, caller, body.host.signature, "host.signature");
    const id = body.id ?? DeploymentId.parse(random.uuid());
    const registered = await database.transaction(async (tx) => {
      const pinned = body.host === undefined ? null : await database.hosts.register(tx, newHost(body.host, owner, at));
      if (pinned !== null && pinned.owner !== owner) {
        throw new AppError(
          "access_denied",
          "host.key: this host is registered by another owner; make a new identity with `hardshare init`",
          {
            details: { field: "host.key" },
          },
        );
      }
      const known = body.id === undefined ? null : await database.deployments.getForUpdate(tx, id);
      if (known !== null) {
        await takeOver(tx, known, pinned, caller);
        return { owner: known.owner, host: pinned };
      }
      await database.deployments.insert(tx, {
        id,
        owner,
        type: body.type ?? DEFAULT_TYPE,
        typeVersion: 1,
        description: body.desc ?? null,
        region: "",
        hostId: pinned?.id ?? null,
        supportedAddons: [],
        origin: request.address,
        at,
      });
      await database.accessRules.add(tx, { deploymentId: id, user: owner, capability: "CAP_INSTANTIATE", at });
      const data = { owner, host: pinned?.id ?? null };
      await database.events.append(tx, { at, deploymentId: id, instanceId: null, kind: "registered", actor: caller.user, data });
      return { owner, host: pinned };
    });
    const { host } = registered;
    return { id, owner: registered.owner, ...(host === null ? {} : { host: host.id, serverKey: deps.serverKey }) };
  });

  app.get("/hardshare/list", NEEDS_CALLER, async (request): Promise<z.infer<typeof OwnedDeployments>> => {
    requireUnconstrained(callerOf(request));
    const owner = ownerNameOf(callerOf(request));
    const query = parseWith(z.object({ with_dissolved: QueryFlag }), request.query, "query");
    return database.transaction(async (tx) => {
      const filter = { owners: [owner], withDissolved: query.with_dissolved };
      const { items } = await database.deployments.list(tx, { filter, order: { by: "created", direction: "asc" } });
      const wdeployments = [];
      for (const deployment of items) {
        const alerts = await database.events.listNewestOfDeployment(tx, {
          deploymentId: deployment.id,
          kinds: ["alert"],
          limit: ALERTS_SHOWN,
        });
        wdeployments.push(ownedView(deployment, alerts, await findDissolution(database, tx, deployment)));
      }
      return { owner, wdeployments };
    });
  });

  /** Gives a deployment that no host offers yet to the one that asks. */
  async function takeOver(tx: Transaction, known: DeploymentStatus, host: Host | null, caller: Caller): Promise<void> {
    requireOwner(caller, known);
    if (known.dissolvedAt !== null) throw new AppError("wrong_state", `id: workspace deployment ${known.id} was dissolved`);
    if (host === null) throw new AppError("conflict", `id: workspace deployment ${known.id} is registered already`, ABOUT_ID);
    if (known.hostId === host.id) return;
    if (known.hostId !== null) {
      const message = `id: workspace deployment ${known.id} belongs to another host${known.hostName ? ` (${known.hostName})` : ""}, which alone can offer it`;
      throw new AppError("conflict", message, ABOUT_ID);
    }
    await database.deployments.setHost(tx, known.id, host.id);
    const data = { owner: known.owner, host: host.id };
    await database.events.append(tx, {
      at: new Date(clock.now()),
      deploymentId: known.id,
      instanceId: null,
      kind: "registered",
      actor: caller.user,
      data,
    });
  }

  function newHost(host: NonNullable<z.infer<typeof NewDeployment>["host"]>, owner: string, at: Date) {
    return { id: HostId.parse(random.uuid()), owner, name: host.name, publicKey: host.key, at };
  }
}

type OwnedView = z.infer<typeof OwnedDeployments>["wdeployments"][number];

function ownedView(
  deployment: DeploymentStatus,
  alerts: readonly StoredEvent[],
  dissolution: Awaited<ReturnType<typeof findDissolution>>,
): OwnedView {
  const { holder, lockout, hostLastSeenAt, dissolvedAt } = deployment;
  return {
    id: deployment.id,
    date_created: formatMinuteUtc(deployment.createdAt),
    origin: deployment.origin,
    dissolved: dissolvedAt === null ? null : formatMinuteUtc(dissolvedAt),
    heartbeat: hostLastSeenAt === null ? null : formatMinuteUtc(hostLastSeenAt),
    lockout: lockout !== null,
    desc: deployment.description,
    online: deployment.isOnline,
    host: deployment.hostName,
    provider: deployment.provider,
    ...(lockout === null ? {} : { lockout_info: lockoutView(lockout) }),
    ...restView(deployment),
    ...(dissolution === null ? {} : { dissolved_info: { ...dissolution, at: formatNaiveUtc(dissolution.at) } }),
    instance:
      holder === null ? null : { id: holder.instanceId, user: holder.user, status: holder.state, expires: formatNaiveUtc(holder.deadline) },
    alerts: alerts.map((event) => ({ at: formatNaiveUtc(event.at), message: messageOf(event) })),
  };
}

function messageOf(event: StoredEvent): string {
  const { message } = event.data;
  return typeof message === "string" ? message : "";
}
