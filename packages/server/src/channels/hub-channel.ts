import type { Database, DesiredAtHub, Transaction } from "@hardshare/db";
import {
  AppError,
  type DesiredEndpoint,
  HubHello,
  HubId,
  type HubToServer,
  HubToServer as HubToServerSchema,
  InstanceId,
  type ServerToHub,
} from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import { sameKey } from "@hardshare/wire/ssh";
import type { EstopDispatch } from "../features/estops/estop-dispatch.ts";
import type { EndpointReports } from "../features/hubs/endpoint-reports.ts";
import { announceInstance, scopes } from "../wake-ups/topics.ts";
import type { PeerProtocol } from "./peer-channel.ts";

/** The channel of hubs (protocol's hub-channel): endpoints that should be open out, what became of them in. */
export function hubProtocol(deps: {
  database: Database;
  reports: EndpointReports;
  estops: EstopDispatch;
  clock: Clock;
}): PeerProtocol<HubHello, HubToServer, ServerToHub> {
  const { database, reports, estops, clock } = deps;
  /** Without those that were stopped, of which the rows may not say anything yet. */
  const listOpen = async (tx: Transaction, query: { hubId: HubId; instanceId?: InstanceId }) =>
    (await database.instances.listDesiredAtHub(tx, query)).filter(({ instance }) => !estops.isStopped(instance.id));

  return {
    role: "hub",
    scope: scopes.hub,
    hello: HubHello,
    receive: HubToServerSchema,

    async lookUpKey(id) {
      const hubId = HubId.safeParse(id).data;
      if (hubId !== id) return undefined; // no id of ours, or in other letter case
      return (await database.transaction((tx) => database.hubs.get(tx, hubId)))?.publicKey;
    },

    async admit(tx, hello) {
      const hubId = HubId.parse(hello.id);
      const hub = await database.hubs.get(tx, hubId);
      if (hub === null || !sameKey(hub.sshHostKey, hello.sshHostKey)) {
        throw new AppError(
          "identity_refused",
          `the SSH host key of hub ${hello.id} is not the one that was pinned when it registered; restore it`,
        );
      }
      const { publicHost, sshPort, firstPort, lastPort, softwareVersion } = hello;
      const hasMoved = hub.address?.publicHost !== publicHost || hub.address.sshPort !== sshPort;
      const address = { publicHost, sshPort, firstPort, lastPort };
      await database.hubs.recordConnection(tx, { hubId, softwareVersion, address, at: new Date(clock.now()) });
      if (!hasMoved) return;
      // Hosts dial what their desired state says.
      for (const { instance, deployment } of await database.instances.listDesiredAtHub(tx, { hubId })) {
        await announceInstance(database, tx, { instanceId: instance.id, deploymentId: deployment.id, hostId: deployment.hostId, hubId });
      }
    },

    async desired(peerId, detail) {
      const hubId = HubId.parse(peerId);
      if (detail === null) {
        const all = await database.transaction((tx) => listOpen(tx, { hubId }));
        return { type: "desired", full: true, endpoints: all.map(desiredEndpoint), closed: [] };
      }
      const instanceId = InstanceId.parse(detail);
      return database.transaction(async (tx) => {
        const wanted = await listOpen(tx, { hubId, instanceId });
        if (wanted.length > 0) return { type: "desired", full: false, endpoints: wanted.map(desiredEndpoint), closed: [] };
        const found = await database.instances.get(tx, instanceId);
        if (found === null) return null;
        return { type: "desired", full: false, endpoints: [], closed: [{ instanceId, epoch: found.instance.epoch }] };
      });
    },

    async receiveMessages(peerId, messages) {
      for (const message of messages) {
        if (message.type === "hello") throw new AppError("protocol_violation", "a second hello on one channel");
        await reports.receive(HubId.parse(peerId), message);
      }
      return [];
    },
  };
}

function desiredEndpoint({ instance, deployment, forwarderKey, firewall }: DesiredAtHub): DesiredEndpoint {
  return {
    instanceId: instance.id,
    epoch: instance.epoch,
    deploymentId: deployment.id,
    publicPort: instance.publicPort,
    forwarderKey,
    userKeys: instance.publicKeys,
    firewall,
    probe: deployment.probe,
  };
}
