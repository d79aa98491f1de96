import * as z from "zod";
import { Firewall } from "./access.ts";
import { Challenge, HelloBase, Refused, Welcome } from "./handshake.ts";
import { HostName } from "./host-names.ts";
import { DeploymentId, Epoch, InstanceId, MAX_CLAIMED_EPOCH } from "./ids.ts";
import { Probe } from "./instances.ts";
import { MAX_REASON_CHARS } from "./texts.ts";

/** The channel between a hub and the server: one outbound WebSocket per hub, JSON text frames. */

/** SSH user name under which the host of an instance forwards its endpoint. */
export function forwarderUsername(instanceId: string): string {
  return `h-${instanceId}`;
}
/** SSH user name under which the server opens channels to any current endpoint. A user's jump name is the instance id. */
export const SERVER_USERNAME = "server";
/** Port that a host asks a hub to listen on, as the existing client does (`-R :2210:…`); virtual, never bound. */
export const FORWARD_PORT = 2210;

/** One endpoint that should be open. */
export const DesiredEndpoint = z.object({
  instanceId: InstanceId,
  epoch: Epoch,
  deploymentId: DeploymentId,
  /** Public TCP port to bind, or null for none. */
  publicPort: z.int().min(1).max(65_535).nullable(),
  /** The host's identity key, an OpenSSH public key line: who may forward. */
  forwarderKey: z.string(),
  /** OpenSSH public key lines: who may jump. */
  userKeys: z.array(z.string()),
  firewall: Firewall,
  probe: Probe,
});
export type DesiredEndpoint = z.infer<typeof DesiredEndpoint>;

/** The endpoints that should be open. `full`: all others are to be closed; else `closed` names those to close. */
export const HubDesired = z.object({
  type: z.literal("desired"),
  full: z.boolean(),
  endpoints: z.array(DesiredEndpoint),
  closed: z.array(z.object({ instanceId: InstanceId, epoch: Epoch })).default([]),
});
export type HubDesired = z.infer<typeof HubDesired>;

export const ServerToHub = z.discriminatedUnion("type", [Challenge, Welcome, Refused, HubDesired]);
export type ServerToHub = z.infer<typeof ServerToHub>;

/**
 * Where an endpoint stands: `open` (port bound, waiting for the host), `forwarded` (the host's forward is bound),
 * `probed` (a byte came through the whole public way), `port_taken` (a stranger holds the port), `closed`.
 */
export const EndpointStatus = z.enum(["open", "forwarded", "probed", "port_taken", "closed"]);
export type EndpointStatus = z.infer<typeof EndpointStatus>;

/** Sent at each change, and of every endpoint anew after each connect: what a report said may have been lost with its channel. */
export const EndpointReport = z.object({
  type: z.literal("endpoint"),
  instanceId: InstanceId,
  epoch: Epoch,
  /** Public port that the status is about, or null for none: the endpoint may have another one by now. */
  publicPort: z.int().min(1).max(65_535).nullable(),
  status: EndpointStatus,
  message: z.string().max(MAX_REASON_CHARS).optional(),
  /** With `closed`: it was never opened, because the hub has had this epoch of the deployment, or this higher one, for another instance. */
  highestEpoch: z.int().min(1).max(MAX_CLAIMED_EPOCH).optional(),
});
export type EndpointReport = z.infer<typeof EndpointReport>;

export const HubHello = HelloBase.extend({
  softwareVersion: z.string(),
  /** Public address and SSH port, as users and hosts reach them, and the ports that it may bind. */
  publicHost: HostName,
  sshPort: z.int().min(1).max(65_535),
  firstPort: z.int().min(1).max(65_535),
  lastPort: z.int().min(1).max(65_535),
  /** SSH host key, an OpenSSH public key line; must equal the pinned one. */
  sshHostKey: z.string(),
});
export type HubHello = z.infer<typeof HubHello>;

export const HubToServer = z.discriminatedUnion("type", [HubHello, EndpointReport]);
export type HubToServer = z.infer<typeof HubToServer>;
