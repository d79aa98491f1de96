import { mayFollow } from "@hardshare/core";
import { AppError, type InstanceState } from "@hardshare/protocol";
import { toInstance } from "../postgres/instance-rows.ts";
import type { Row } from "../postgres/tables.ts";
import type { InstanceMark, InstanceStore, LaunchOutcome, NewInstance } from "../stores/instances.ts";
import { requireReferenced, requireUnique } from "./constraints.ts";
import type { Data } from "./data.ts";
import { findHolder } from "./deployment-status.ts";
import { appendEvent } from "./events.ts";
import { isLive } from "./instance-rows.ts";
import type { OnData } from "./on-data.ts";
import { releasePort, requireFreePort } from "./public-ports.ts";

type Changes = OnData<Pick<InstanceStore, "changeState" | "mark" | "recordReport">>;

/** See `InstanceStore.insertLaunch`. */
export function insertLaunch(data: Data, launch: NewInstance): LaunchOutcome {
  const { id, deploymentId, user, hubId, at } = launch;
  const deployment = data.deployments.get(deploymentId);
  if (deployment === undefined) throw new AppError("not_found", "no workspace deployment found with given ID");
  const holder = findHolder(data, deploymentId);
  if (holder !== undefined) return { kind: "busy", holder };
  const row = newRow(launch, deployment.epochCounter + 1);
  requireUnique(data.instances.get(id), "instances_pkey");
  const sameEpoch = data.instances.find((other) => other.deploymentId === deploymentId && other.epoch === row.epoch);
  requireUnique(sameEpoch, "instances_deployment_id_epoch_key");
  requireFreePort(data, row);
  requireReferenced(data.hubs.get(hubId), "instances", "instances_hub_id_fkey");
  data.instances.put(row);
  data.deployments.put({ ...deployment, epochCounter: row.epoch, instanceCount: deployment.instanceCount + 1 });
  appendEvent(data, { at, deploymentId, instanceId: id, kind: "state", actor: user, data: { state: "INIT", epoch: row.epoch } });
  return { kind: "launched", instance: toInstance(row) };
}

function newRow(launch: NewInstance, epoch: number): Row<"instances"> {
  const { id, deploymentId, user, hubId, publicPort, publicKeys, privateKeyEncrypted, requestedS, deadline, at } = launch;
  return {
    id,
    deploymentId,
    epoch,
    userName: user,
    state: "INIT",
    hubId,
    publicPort,
    publicKeys: [...publicKeys],
    privateKeyEncrypted: privateKeyEncrypted === null ? null : Buffer.from(privateKeyEncrypted),
    hostKeys: [],
    requestedS,
    startedAt: at,
    deadline,
    acceptedAt: null,
    upAt: null,
    endpointOpenAt: null,
    probedAt: null,
    readyAt: null,
    endingAt: null,
    endedAt: null,
    endReason: null,
    failedStep: null,
    failedLog: null,
    lastSequence: 0,
    isFirewallConfigured: false,
  };
}

/** See `InstanceStore`. */
export const instanceChanges: Changes = {
  changeState(data, { instanceId, from, to, at, actor, reason, failedStep, failedLog }) {
    if (!mayFollow(from, to)) throw new AppError("internal", `An instance can't go from ${from} to ${to}`, { details: { instanceId } });
    const row = data.instances.get(instanceId);
    if (row?.state !== from) return null;
    const changed = data.instances.put({
      ...row,
      ...changesOf(to, at),
      endReason: row.endReason ?? reason ?? null,
      failedStep: failedStep ?? row.failedStep,
      failedLog: failedLog ?? row.failedLog,
    });
    const { deploymentId, hubId, publicPort } = changed;
    if (changed.endedAt !== null && publicPort !== null) releasePort(data, { hubId, port: publicPort, at });
    const details = { state: to, reason, step: failedStep };
    appendEvent(data, { at, deploymentId, instanceId, kind: "state", actor, data: details });
    return toInstance(changed);
  },

  mark(data, { instanceId, epoch, mark, at }) {
    const row = data.instances.get(instanceId);
    if (row === undefined || row.epoch !== epoch || !isLive(row)) return null;
    return toInstance(data.instances.put({ ...row, ...marked(row, mark, at) }));
  },

  recordReport(data, { hostId, deploymentId, instanceId, epoch, sequence }) {
    const row = data.instances.get(instanceId);
    if (row === undefined || row.deploymentId !== deploymentId || row.epoch !== epoch) return { kind: "unknown" };
    if (data.deployments.get(deploymentId)?.hostId !== hostId) return { kind: "unknown" };
    if (sequence <= row.lastSequence) return { kind: "repeated", instance: toInstance(row) };
    return { kind: "recorded", instance: toInstance(data.instances.put({ ...row, lastSequence: sequence })) };
  },
};

function changesOf(to: InstanceState, at: Date): Partial<Row<"instances">> {
  switch (to) {
    case "INIT":
      return { state: to };
    case "READY":
      return { state: to, readyAt: at };
    case "TERMINATING":
      return { state: to, endingAt: at, privateKeyEncrypted: null };
    case "TERMINATED":
    case "INIT_FAIL":
      return { state: to, endedAt: at, privateKeyEncrypted: null };
  }
}

function marked(row: Row<"instances">, mark: InstanceMark, at: Date): Partial<Row<"instances">> {
  switch (mark.kind) {
    case "accepted":
      return { acceptedAt: row.acceptedAt ?? at };
    case "up":
      return { upAt: row.upAt ?? at, hostKeys: [...mark.hostKeys] };
    case "endpoint_open":
      return { endpointOpenAt: row.endpointOpenAt ?? at };
    case "probed":
      return { probedAt: row.probedAt ?? at };
    case "estop":
      return { endReason: "estop" };
  }
}
