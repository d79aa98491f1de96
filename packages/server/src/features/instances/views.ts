import type { DeploymentStatus, InstanceDetails } from "@hardshare/db";
import { formatIsoUtc, formatNaiveUtc, type InstanceView } from "@hardshare/protocol";
import type { Caller } from "../../http/caller.ts";
import { deploymentView } from "../deployments/views.ts";

/** What `GET /instance/ID` says. */
export function instanceView({ instance, hub }: InstanceDetails, deployment: DeploymentStatus, caller: Caller): InstanceView {
  const isUsable = instance.state === "INIT" || instance.state === "READY";
  // A port may still be exchanged for another until the hub has bound it.
  const hasAddress = instance.publicPort !== null && instance.endpointOpenAt !== null && hub.address !== null;
  const fwd = hasAddress ? { ipv4: hub.address?.publicHost, port: instance.publicPort ?? undefined } : {};
  return {
    id: instance.id,
    deployment: instance.deploymentId,
    type: deployment.type,
    region: deployment.region,
    starttime: formatNaiveUtc(instance.startedAt),
    ...(instance.endedAt === null ? {} : { endtime: formatNaiveUtc(instance.endedAt) }),
    expires: formatNaiveUtc(instance.deadline),
    rootuser: instance.user,
    status: instance.state,
    wdinfo: deploymentView(deployment, caller),
    ...(isUsable ? { fwd } : {}),
    ...(isUsable && instance.hostKeys.length > 0 ? { hostkeys: instance.hostKeys } : {}),
    provider: deployment.provider,
    epoch: instance.epoch,
    ...(instance.endReason === null ? {} : { end_reason: instance.endReason }),
    ...(instance.failedStep === null ? {} : { failed_step: instance.failedStep }),
    ...(instance.failedLog === null ? {} : { failed_log: instance.failedLog }),
    ...(isUsable && hub.address !== null
      ? { hub: { host: hub.address.publicHost, ssh_port: hub.address.sshPort, host_key: hub.sshHostKey } }
      : {}),
  };
}

/** What `GET /instances?details` says of each. */
export function listedInstance({ instance, deployment }: InstanceDetails): Record<string, unknown> {
  return {
    id: instance.id,
    status: instance.state,
    deployment: instance.deploymentId,
    type: deployment.type,
    region: deployment.region,
    starttime: formatIsoUtc(instance.startedAt),
    ...(instance.endedAt === null ? {} : { endtime: formatIsoUtc(instance.endedAt) }),
    rootuser: instance.user,
    expires: formatIsoUtc(instance.deadline),
  };
}
