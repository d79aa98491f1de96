import type { Database } from "@hardshare/db";
import { AppError, HubId, type HubsList, NewHub, type NewHubAnswer, parseWith } from "@hardshare/protocol";
import type { Clock, Random } from "@hardshare/runtime";
import { sameKey } from "@hardshare/wire/ssh";
import type { FastifyInstance } from "fastify";
import type * as z from "zod";
import { callerOf, NEEDS_CALLER, requireSuperuser, requireUnconstrained, requireWriter } from "../../http/caller.ts";
import { requireProof } from "../hosts/registration-proof.ts";

/** `POST /hubs/register`: a superuser makes a hub known; its identity key and SSH host key are pinned. `GET /hubs`: those connected. */
export function addHubRoutes(app: FastifyInstance, deps: { database: Database; clock: Clock; random: Random; serverKey: string }): void {
  const { database, clock, random } = deps;

  app.get("/hubs", NEEDS_CALLER, async (request): Promise<z.infer<typeof HubsList>> => {
    const caller = callerOf(request);
    requireUnconstrained(caller);
    if (caller.isGuest) throw new AppError("access_denied", "guests share nothing; use a token of a user");
    const online = await database.transaction((tx) => database.hubs.listOnline(tx));
    return {
      hubs: online.map(({ hub: { name, address, sshHostKey } }) => ({
        name,
        host: address.publicHost,
        port: address.sshPort,
        hostKey: sshHostKey,
      })),
    };
  });

  app.post("/hubs/register", NEEDS_CALLER, async (request): Promise<z.infer<typeof NewHubAnswer>> => {
    const caller = callerOf(request);
    requireSuperuser(caller);
    requireWriter(caller);
    const body = parseWith(NewHub, request.body ?? {}, "request body");
    requireProof("hub", body.key, caller, body.signature, "signature");
    const hub = await database.transaction((tx) =>
      database.hubs.register(tx, {
        id: HubId.parse(random.uuid()),
        name: body.name,
        publicKey: body.key,
        sshHostKey: body.sshHostKey,
        at: new Date(clock.now()),
      }),
    );
    if (!sameKey(hub.sshHostKey, body.sshHostKey)) {
      throw new AppError(
        "conflict",
        "sshHostKey: this hub is registered with another SSH host key; restore the old one, or make a new identity",
        {
          details: { field: "sshHostKey" },
        },
      );
    }
    return { id: hub.id, serverKey: deps.serverKey };
  });
}
