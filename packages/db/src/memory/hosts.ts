import { withoutComment } from "../postgres/public-keys.ts";
import type { Host, HostStore } from "../stores/hosts.ts";
import { requireUnique } from "./constraints.ts";
import type { Data } from "./data.ts";
import type { OnData } from "./on-data.ts";

export const hosts: OnData<HostStore> = {
  register(data, { id, owner, name, publicKey, at }) {
    const pinned = findByKey(data, publicKey);
    if (pinned !== undefined) return pinned;
    requireUnique(data.hosts.get(id), "hosts_pkey");
    const absent = { lastConnectedAt: null, lastSeenAt: null, softwareVersion: null, bootId: null };
    return data.hosts.put({ id, owner, name, publicKey: withoutComment(publicKey), registeredAt: at, ...absent });
  },

  get: (data, id) => data.hosts.get(id) ?? null,

  getByKey: (data, publicKey) => findByKey(data, publicKey) ?? null,

  recordConnection(data, { hostId, softwareVersion, bootId, at }) {
    const host = data.hosts.get(hostId);
    if (host !== undefined) data.hosts.put({ ...host, lastConnectedAt: at, lastSeenAt: at, softwareVersion, bootId });
  },
};

function findByKey(data: Data, publicKey: string): Host | undefined {
  const key = withoutComment(publicKey);
  return data.hosts.find((host) => host.publicKey === key);
}
