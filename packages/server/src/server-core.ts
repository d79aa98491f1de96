import type { Database } from "@hardshare/db";
import type { Clock, Logger, Random } from "@hardshare/runtime";
import { ConnectedPeers } from "./channels/connected-peers.ts";
import { hostProtocol } from "./channels/host-channel.ts";
import { hubProtocol } from "./channels/hub-channel.ts";
import { type PeerSocket, servePeer } from "./channels/peer-channel.ts";
import { Presence } from "./channels/presence.ts";
import { EstopDispatch } from "./features/estops/estop-dispatch.ts";
import { HostReports } from "./features/hosts/host-reports.ts";
import { EndpointReports } from "./features/hubs/endpoint-reports.ts";
import { DeadlinesJob } from "./jobs/deadlines.ts";
import { WakeUpRouter } from "./wake-ups/wake-up-router.ts";

export interface ServerCoreOptions {
  database: Database;
  replicaId: string;
  identity: { privateKey: string; publicKey: string };
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** The server without HTTP and without files: what keeps the store, the hosts and the hubs of one mind. */
export class ServerCore {
  readonly wakeUps: WakeUpRouter;
  readonly presence: Presence;
  readonly connected = new ConnectedPeers();
  readonly estops: EstopDispatch;
  readonly hosts: ReturnType<typeof hostProtocol>;
  readonly hubs: ReturnType<typeof hubProtocol>;
  readonly #options: ServerCoreOptions;

  constructor(options: ServerCoreOptions) {
    this.#options = options;
    this.wakeUps = new WakeUpRouter(options.database.wakeUps);
    this.presence = new Presence({ ...options, wakeUps: this.wakeUps });
    const estops = new EstopDispatch({ ...options, connected: this.connected });
    this.estops = estops;
    this.hosts = hostProtocol({ ...options, estops, reports: new HostReports(options) });
    this.hubs = hubProtocol({ ...options, estops, reports: new EndpointReports(options) });
  }

  /** Begins to end what is overdue, once nobody counts as connected who was so to a former process. */
  async begin(): Promise<DeadlinesJob> {
    await this.presence.clear(); // before any peer comes back, and before anybody concludes from its absence
    return new DeadlinesJob({ ...this.#options, wakeUps: this.wakeUps });
  }

  /** Serves a connection of a host or a hub, until it ends. @throws AppError why it was not admitted */
  async servePeer(role: "host" | "hub", socket: PeerSocket): Promise<void> {
    const deps = { ...this.#options, wakeUps: this.wakeUps, presence: this.presence, connected: this.connected };
    if (role === "host") await servePeer(this.hosts, deps, socket, () => {});
    else await servePeer(this.hubs, deps, socket, () => {});
  }
}
