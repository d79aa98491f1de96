import type { Channel, ChannelStore } from "../stores/channels.ts";
import type { Data } from "./data.ts";
import type { OnData } from "./on-data.ts";
import { sortBy } from "./order.ts";

export const channels: OnData<ChannelStore> = {
  open(data, channel) {
    const current = data.channels.get(`${channel.role}/${channel.peerId}`);
    if (current !== undefined && current.session !== channel.session) return { kind: "in_use", by: current };
    const { role, peerId, replicaId, connectionId, session, connectedAt } = channel;
    data.channels.put({ role, peerId, replicaId, connectionId, session, connectedAt });
    return { kind: "opened", replaced: current ?? null };
  },

  close(data, { role, peerId, connectionId, at }) {
    const channel = data.channels.get(`${role}/${peerId}`);
    if (channel?.connectionId !== connectionId) return false;
    remove(data, [channel], at);
    return true;
  },

  closeAllOfReplica(data, { replicaId, at }) {
    return remove(
      data,
      data.channels.filter((channel) => channel.replicaId === replicaId),
      at,
    );
  },

  closeAllOfDeadReplicas(data, { at }) {
    return remove(
      data,
      data.channels.filter((channel) => !data.livingReplicas.has(channel.replicaId)),
      at,
    );
  },

  get: (data, role, peerId) => data.channels.get(`${role}/${peerId}`) ?? null,

  list(data, role) {
    const ofRole = data.channels.filter((channel) => channel.role === role);
    return sortBy(ofRole, (channel) => [channel.connectedAt, channel.peerId]);
  },
};

function remove(data: Data, closed: readonly Channel[], at: Date): Channel[] {
  for (const channel of closed) {
    data.channels.delete(channel);
    const { role, peerId } = channel;
    const host = role === "host" ? data.hosts.get(peerId) : undefined;
    if (host !== undefined) data.hosts.put({ ...host, lastSeenAt: at });
    const hub = role === "hub" ? data.hubs.get(peerId) : undefined;
    if (hub !== undefined) data.hubs.put({ ...hub, lastSeenAt: at });
  }
  return sortBy(closed, (channel) => [channel.replicaId, channel.role, channel.peerId]);
}
