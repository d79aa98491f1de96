import { HostPhase, Network, Provider, Rest, ServiceTraffic } from "@hardshare/protocol";
import * as z from "zod";

export const DeploymentStatus = z.object({
  id: z.string(),
  provider: Provider.nullable(),
  /** What its instances reach; null for a deployment that is not in the configuration of this host. */
  network: Network.nullable().default(null),
  isAdvertised: z.boolean(),
  /** Why it cannot be offered: contract, engine, image; null when it can. */
  problem: z.string().nullable(),
  /** The lock-out in force; null for none. */
  lockout: z.object({ reason: z.string(), actor: z.string(), at: z.string().optional() }).nullable(),
  /** Why there can be no instance for now, and until when; null when it does not rest. */
  rest: Rest.nullable().default(null),
  /** The newest alerts since the daemon began, oldest first. */
  alerts: z.array(z.object({ at: z.string(), message: z.string() })),
  instance: z
    .object({
      id: z.string(),
      user: z.string(),
      epoch: z.int(),
      phase: HostPhase,
      /** Steps that run now. */
      steps: z.array(z.string()),
      deadline: z.string(),
      /** How much went through each service. */
      traffic: z.array(ServiceTraffic).default([]),
    })
    .nullable(),
});
export type DeploymentStatus = z.infer<typeof DeploymentStatus>;

/** What a host daemon says of itself on its control socket. */
export const DaemonStatus = z.object({
  pid: z.int(),
  server: z.string(),
  host: z.string(),
  isConnected: z.boolean(),
  /** Why it is not connected, as far as it is known. */
  connectionProblem: z.string().nullable(),
  deployments: z.array(DeploymentStatus),
});
export type DaemonStatus = z.infer<typeof DaemonStatus>;
