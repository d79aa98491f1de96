import { toHub } from "../postgres/hubs.ts";
import { withoutComment } from "../postgres/public-keys.ts";
import type { Row } from "../postgres/tables.ts";
import type { HubStore, OnlineHub } from "../stores/hubs.ts";
import { requireUnique } from "./constraints.ts";
import type { Data } from "./data.ts";
import { isLive } from "./instance-rows.ts";
import type { OnData } from "./on-data.ts";
import { sortBy } from "./order.ts";

export const hubs: OnData<HubStore> = {
  register(data, { id, name, publicKey, sshHostKey, at }) {
    const pinned = findByKey(data, publicKey);
    if (pinned !== undefined) return toHub(pinned);
    requireUnique(data.hubs.get(id), "hubs_pkey");
    const unknown = { publicHost: null, sshPort: null, firstPort: null, lastPort: null };
    const absent = { lastConnectedAt: null, lastSeenAt: null, softwareVersion: null };
    const keys = { publicKey: withoutComment(publicKey), sshHostKey: withoutComment(sshHostKey) };
    return toHub(data.hubs.put({ id, name, ...keys, registeredAt: at, ...unknown, ...absent }));
  },

  get(data, id) {
    const row = data.hubs.get(id);
    return row === undefined ? null : toHub(row);
  },

  getByKey(data, publicKey) {
    const row = findByKey(data, publicKey);
    return row === undefined ? null : toHub(row);
  },

  recordConnection(data, { hubId, softwareVersion, address, at }) {
    const row = data.hubs.get(hubId);
    if (row === undefined) return;
    const { publicHost, sshPort, firstPort, lastPort } = address;
    data.hubs.put({ ...row, lastConnectedAt: at, lastSeenAt: at, softwareVersion, publicHost, sshPort, firstPort, lastPort });
  },

  listOnline(data) {
    const online = data.hubs.filter((row) => data.channels.get(`hub/${row.id}`) !== undefined);
    const loaded = online.flatMap((row): OnlineHub[] => {
      const hub = toHub(row);
      if (hub.address === null) return [];
      const liveInstances = data.instances.filter((instance) => instance.hubId === row.id && isLive(instance)).length;
      return [{ hub: { ...hub, address: hub.address }, liveInstances }];
    });
    return sortBy(loaded, ({ hub, liveInstances }) => [liveInstances, hub.id]);
  },
};

function findByKey(data: Data, publicKey: string): Row<"hubs"> | undefined {
  const key = withoutComment(publicKey);
  return data.hubs.find((row) => row.publicKey === key);
}
