import { type HubId, type InstanceId, LIVE_STATES } from "@hardshare/protocol";
import { sql } from "kysely";
import type { Transaction } from "../stores/database.ts";
import { type Instance, PORT_QUARANTINE_MS } from "../stores/instances.ts";
import { turningPoint } from "../stores/public-ports.ts";
import { toInstance } from "./instance-rows.ts";
import { sqlOf } from "./transaction.ts";

/** See `InstanceStore.pickPublicPort`. */
export async function pickPublicPort(tx: Transaction, pick: { hubId: HubId; at: Date; avoid?: readonly number[] }): Promise<number | null> {
  // Those who pick at this hub go one after the other, else they would pick the same.
  const hub = await sqlOf(tx)
    .selectFrom("hubs")
    .select(["firstPort", "lastPort"])
    .where("id", "=", pick.hubId)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (hub === undefined || hub.firstPort === null || hub.lastPort === null) return null;
  const { firstPort, lastPort } = hub;
  const isBefore = sql<boolean>`port.port < ${turningPoint(pick.hubId, { firstPort, lastPort })}`;
  const restingSince = new Date(pick.at.getTime() - PORT_QUARANTINE_MS);
  const { rows } = await sql<{ port: number }>`
    select port.port
    from generate_series(${firstPort}::integer, ${lastPort}::integer) as port(port)
    left join released_ports released on released.hub_id = ${pick.hubId} and released.port = port.port
    where (released.hub_id is null or released.released_at <= ${restingSince})
      and port.port <> all(${[...(pick.avoid ?? [])]}::integer[])
      and not exists (
        select 1 from instances
        where hub_id = ${pick.hubId} and public_port = port.port and state in ('INIT', 'READY', 'TERMINATING')
      )
    order by released.released_at nulls first, ${isBefore}, port.port
    limit 1
  `.execute(sqlOf(tx));
  return rows[0]?.port ?? null;
}

/** Notes that a port is out of use, from when its rest counts. */
export async function releasePort(tx: Transaction, release: { hubId: HubId; port: number; at: Date }): Promise<void> {
  await sqlOf(tx)
    .insertInto("releasedPorts")
    .values({ hubId: release.hubId, port: release.port, releasedAt: release.at })
    .onConflict((conflict) => conflict.columns(["hubId", "port"]).doUpdateSet({ releasedAt: release.at }))
    .execute();
}

/** See `InstanceStore.reassignPort`. */
export async function reassignPort(tx: Transaction, change: { instanceId: InstanceId; from: number; at: Date }): Promise<Instance | null> {
  const { instanceId, from, at } = change;
  const row = await sqlOf(tx)
    .selectFrom("instances")
    .select("hubId")
    .where("id", "=", instanceId)
    .where("state", "=", "INIT")
    .where("publicPort", "=", from)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (row === undefined) return null;
  const port = await pickPublicPort(tx, { hubId: row.hubId, at, avoid: [from] });
  if (port === null) return null;
  // A stranger holds the old one: it rests too, so that the next launch doesn't meet him again.
  await releasePort(tx, { hubId: row.hubId, port: from, at });
  const updated = await sqlOf(tx)
    .updateTable("instances")
    .set({ publicPort: port, endpointOpenAt: null, probedAt: null })
    .where("id", "=", instanceId)
    .where("state", "in", LIVE_STATES)
    .returningAll()
    .executeTakeFirstOrThrow();
  return toInstance(updated);
}
