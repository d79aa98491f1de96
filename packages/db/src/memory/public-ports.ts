import type { HubId } from "@hardshare/protocol";
import { toInstance } from "../postgres/instance-rows.ts";
import type { Row } from "../postgres/tables.ts";
import { type InstanceStore, PORT_QUARANTINE_MS } from "../stores/instances.ts";
import { turningPoint } from "../stores/public-ports.ts";
import { requireUnique } from "./constraints.ts";
import type { Data } from "./data.ts";
import { isLive } from "./instance-rows.ts";
import type { OnData } from "./on-data.ts";
import { sortBy } from "./order.ts";

type PublicPorts = OnData<Pick<InstanceStore, "pickPublicPort" | "reassignPort">>;

/** See `InstanceStore`. */
export const publicPorts: PublicPorts = {
  pickPublicPort(data, { hubId, at, avoid = [] }) {
    const hub = data.hubs.get(hubId);
    if (hub === undefined || hub.firstPort === null || hub.lastPort === null) return null;
    const { firstPort, lastPort } = hub;
    const start = turningPoint(hubId, { firstPort, lastPort });
    const used = new Set(data.instances.filter((row) => row.hubId === hubId && isLive(row)).map((row) => row.publicPort));
    const free: { port: number; releasedMs: number }[] = [];
    for (let port = firstPort; port <= lastPort; port += 1) {
      const releasedMs = data.releasedPorts.get(`${hubId}/${port}`)?.releasedAt.getTime() ?? Number.NEGATIVE_INFINITY;
      const isResting = releasedMs > at.getTime() - PORT_QUARANTINE_MS;
      if (!isResting && !used.has(port) && !avoid.includes(port)) free.push({ port, releasedMs });
    }
    return sortBy(free, ({ port, releasedMs }) => [releasedMs, Number(port < start), port])[0]?.port ?? null;
  },

  reassignPort(data, { instanceId, from, at }) {
    const row = data.instances.get(instanceId);
    if (row?.state !== "INIT" || row.publicPort !== from) return null;
    const { hubId } = row;
    const port = publicPorts.pickPublicPort(data, { hubId, at, avoid: [from] });
    if (port === null) return null;
    releasePort(data, { hubId, port: from, at });
    return toInstance(data.instances.put({ ...row, publicPort: port, endpointOpenAt: null, probedAt: null }));
  },
};

/** Notes that a port is out of use, from when its rest counts. */
export function releasePort(data: Data, { hubId, port, at }: { hubId: HubId; port: number; at: Date }): void {
  data.releasedPorts.put({ hubId, port, releasedAt: at });
}

/** @throws ConstraintError when another live instance has the port */
export function requireFreePort(data: Data, { hubId, publicPort }: Row<"instances">): void {
  if (publicPort === null) return;
  const other = data.instances.find((row) => row.hubId === hubId && row.publicPort === publicPort && isLive(row));
  requireUnique(other, "live_public_ports");
}
