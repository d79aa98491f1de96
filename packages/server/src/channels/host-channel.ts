import type { Database, DesiredAtHost, Transaction } from "@hardshare/db";
import {
  AppError,
  DeploymentId,
  type DesiredDeployment,
  type DesiredInstance,
  forwarderUsername,
  type HostDeployment,
  type HostReport,
  HostHello,
  HostId,
  type HostToServer,
  HostToServer as HostToServerSchema,
  type ServerToHost,
  type TunnelTarget,
} from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import { isPlaceOfAnother, placeKeptUntilMs } from "../features/hosts/return-of-hosts.ts";
import { findDissolution } from "../features/dissolutions/dissolution-service.ts";
import type { EstopDispatch } from "../features/estops/estop-dispatch.ts";
import type { HostReports } from "../features/hosts/host-reports.ts";
import { scopes } from "../wake-ups/topics.ts";
import type { Heard, PeerProtocol } from "./peer-channel.ts";
import { COPY_ADVICE } from "./presence.ts";

/** SSH connections that a host keeps for one instance: one stalled stream leaves three others. */
const TUNNEL_CONNECTIONS = 4;

/** The channel of hosts (protocol's host-channel): desired state out, reports in. */
export function hostProtocol(deps: {
  database: Database;
  reports: HostReports;
  estops: EstopDispatch;
  clock: Clock;
}): PeerProtocol<HostHello, HostToServer, ServerToHost> {
  const { database, reports, estops, clock } = deps;
  const serverStartedAtMs = clock.now();

  const describe = async (tx: Transaction, hostId: HostId, described: readonly HostDeployment[]) => {
    for (const deployment of described) await reports.describe(tx, hostId, deployment);
    estops.deployments.describe(hostId, described);
    const listed = described.map((deployment) => deployment.deploymentId);
    await database.deployments.withdrawUnlisted(tx, hostId, listed);
  };

  /** @throws AppError `identity_in_use` while the place is kept for the computer that was connected last */
  const keepPlace = async (tx: Transaction, hostId: HostId, bootId: string) => {
    const host = await database.hosts.get(tx, hostId);
    if (host === null || !isPlaceOfAnother(host, bootId)) return; // nearly always: the instances need not be looked up
    const hasInstance = (await database.instances.listDesiredAtHost(tx, { hostId })).some(({ wanted }) => wanted !== null);
    const leftMs = placeKeptUntilMs(host, { bootId, hasInstance, serverStartedAtMs }) - clock.now();
    if (leftMs <= 0) return;
    throw new AppError(
      "identity_in_use",
      `host ${hostId} was connected until a moment ago, from another computer or before this one was started again: its place is kept for ${Math.ceil(leftMs / 1000)} s more. ${COPY_ADVICE.host}`,
    );
  };

  /** The newest E-stop of the owner that is in force, as the host knows it. */
  const findEstop = async (tx: Transaction, hostId: HostId, { deploymentId, lockout }: DesiredAtHost) => {
    if (lockout === null) return null;
    const estop = (await database.lockouts.list(tx, deploymentId)).findLast(({ kind }) => kind === "estop");
    if (estop === undefined) return null;
    const prefix = `${hostId}:`;
    return { lockoutId: estop.id.startsWith(prefix) ? estop.id.slice(prefix.length) : estop.id, actor: estop.actor };
  };

  return {
    role: "host",
    scope: scopes.host,
    hello: HostHello,
    receive: HostToServerSchema,

    async lookUpKey(id) {
      const hostId = HostId.safeParse(id).data;
      if (hostId !== id) return undefined; // no id of ours, or in other letter case
      return (await database.transaction((tx) => database.hosts.get(tx, hostId)))?.publicKey;
    },

    async admit(tx, { id, softwareVersion, bootId, deployments }) {
      const hostId = HostId.parse(id);
      await keepPlace(tx, hostId, bootId);
      await database.hosts.recordConnection(tx, { hostId, softwareVersion, bootId, at: new Date(clock.now()) });
      await describe(tx, hostId, deployments);
    },

    async desired(peerId, detail) {
      const hostId = HostId.parse(peerId);
      const query = detail === null ? { hostId } : { hostId, deploymentId: DeploymentId.parse(detail) };
      const deployments = await database.transaction(async (tx) => {
        const found = await database.instances.listDesiredAtHost(tx, query);
        const desired: { each: DesiredAtHost; estop: DesiredDeployment["estop"]; dissolved: DesiredDeployment["dissolved"] }[] = [];
        for (const each of found) {
          const { deploymentId: id, dissolvedAt } = each;
          const dissolution = await findDissolution(database, tx, { id, dissolvedAt });
          const dissolved = dissolution === null ? null : { ...dissolution, at: dissolution.at.toISOString() };
          desired.push({ each, estop: await findEstop(tx, hostId, each), dissolved });
        }
        return desired;
      });
      estops.deployments.learn(
        hostId,
        deployments.map(({ each }) => each),
      );
      return {
        type: "desired",
        full: detail === null,
        deployments: deployments.map(({ each, estop, dissolved }) => ({
          deploymentId: each.deploymentId,
          lockout:
            each.lockout === null ? null : { reason: each.lockout.reason, actor: each.lockout.actor, at: each.lockout.at.toISOString() },
          estop,
          dissolved,
          instance: each.wanted === null ? null : desiredInstance(each.wanted, clock.now(), estops.isStopped(each.wanted.instance.id)),
        })),
      };
    },

    async receiveMessages(peerId, messages) {
      const hostId = HostId.parse(peerId);
      const heard: Heard<ServerToHost>[] = [];
      for (const group of groupReports(messages)) {
        const [first] = group;
        switch (first.type) {
          case "deployments":
            await database.transaction((tx) => describe(tx, hostId, first.deployments));
            heard.push({ answer: { type: "deployments_ack", revision: first.revision }, lookAgain: null });
            break;
          case "report": {
            const together = group as readonly [HostReport, ...HostReport[]];
            const verdict = await reports.receive(hostId, together);
            const { instanceId, epoch, sequence, deploymentId } = together.at(-1) ?? first;
            const answer = { type: "report_ack", instanceId, epoch, sequence } as const;
            heard.push(verdict === "fits" ? { answer } : { answer, lookAgain: deploymentId });
            break;
          }
          case "lockout":
            await reports.receiveLockout(hostId, first);
            // The host then relies on what it was sent, which must not be older than the lock-out.
            heard.push({
              answer: { type: "lockout_ack", lockoutId: first.lockoutId },
              lookAgain: first.deploymentId,
              isAnsweredAfterLook: true,
            });
            break;
          case "estop_ack":
            estops.onAnswer(first.estopId);
            break;
          case "hello":
            throw new AppError("protocol_violation", "a second hello on one channel");
        }
      }
      return heard;
    },
  };
}

/** Reports of one instance that follow each other belong together, if their numbers grow; every other message stands alone. */
function groupReports(messages: readonly HostToServer[]): [HostToServer, ...HostToServer[]][] {
  const groups: [HostToServer, ...HostToServer[]][] = [];
  for (const message of messages) {
    const last = groups.at(-1)?.at(-1);
    const belongs =
      message.type === "report" &&
      last?.type === "report" &&
      last.instanceId === message.instanceId &&
      last.deploymentId === message.deploymentId &&
      last.epoch === message.epoch &&
      last.sequence < message.sequence;
    if (belongs) groups.at(-1)?.push(message);
    else groups.push([message]);
  }
  return groups;
}

/** @param isStopped an E-stop was pressed, of which the row may not say anything yet */
function desiredInstance({ instance, hub }: NonNullable<DesiredAtHost["wanted"]>, nowMs: number, isStopped: boolean): DesiredInstance {
  const tunnel: TunnelTarget | null =
    instance.endpointOpenAt === null || hub.address === null
      ? null
      : {
          host: hub.address.publicHost,
          port: hub.address.sshPort,
          hostKey: hub.sshHostKey,
          username: forwarderUsername(instance.id),
          connections: TUNNEL_CONNECTIONS,
        };
  return {
    instanceId: instance.id,
    epoch: instance.epoch,
    want: !isStopped && (instance.state === "INIT" || instance.state === "READY") ? "run" : "end",
    ...(isStopped ? { reason: "estop" } : instance.endReason === null ? {} : { reason: instance.endReason }),
    user: instance.user,
    deadline: instance.deadline.toISOString(),
    remainingMs: instance.deadline.getTime() - nowMs,
    publicKeys: instance.publicKeys,
    tunnel,
    lastSequence: instance.lastSequence,
  };
}
