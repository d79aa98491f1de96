import { lookup } from "node:dns/promises";
import type { IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { isIPv6 } from "node:net";
import { join } from "node:path";
import { type Connection, connectDatabase, startPrivateCluster } from "@hardshare/db";
import { AppError, toAppError } from "@hardshare/protocol";
import { type Clock, lockFolder, type Logger, type Random, readTextIfThere, socketFolder, writeFileDurably } from "@hardshare/runtime";
import type { FastifyInstance } from "fastify";
import { createApp } from "./app.ts";
import { peerChannelRoute } from "./channels/peer-channel.ts";
import { EstopService } from "./features/estops/estop-service.ts";
import { deliver } from "./features/hooks/deliver.ts";
import { DeliveriesJob } from "./features/hooks/deliveries-job.ts";
import { openMail } from "./features/hooks/mail.ts";
import { OutsideAddresses } from "./features/hooks/outside-addresses.ts";
import { keepAdminToken } from "./features/tokens/admin-token.ts";
import { TokenCodec } from "./features/tokens/token-codec.ts";
import { KnownTokens } from "./features/tokens/known-tokens.ts";
import { TokenService } from "./features/tokens/token-service.ts";
import { clientAddress, readTrustedProxies } from "./http/client-address.ts";
import { DEFAULT_RATE_LIMITS, type RateLimits } from "./http/rate-limits.ts";
import { Strangers } from "./http/strangers.ts";
import { serveUpgrades } from "./http/upgrades.ts";
import { openServerSecrets } from "./secrets/server-secrets.ts";
import { ServerCore } from "./server-core.ts";
import { heartbeatRoute } from "./tunnels/heartbeat-route.ts";
import { tunnelRoute } from "./tunnels/tunnel-route.ts";

export interface ServerOptions {
  /** Keys, `admin.token`, and the private database unless `databaseUrl` is given. Made when missing. */
  dataFolder: string;
  /** Address to listen on. */
  host: string;
  /** Port to listen on; 0 picks a free one. */
  port: number;
  /** PostgreSQL to use: `postgres://…`, or its parts. Without it a private cluster in the data folder. */
  databaseUrl?: Connection | undefined;
  /** Where users reach the server, when that is not where it listens (a proxy in front of it). */
  publicUrl?: string | undefined;
  /** Folder of the private database's socket, a short path; by default one that belongs to the data folder. */
  socketFolder?: string | undefined;
  /** Addresses and subnets (CIDR) of proxies whose `X-Forwarded-For` is believed. */
  trustedProxies?: readonly string[] | undefined;
  /** Subnets (CIDR) to which webhooks may go beside the internet. */
  hooksMayReach?: readonly string[] | undefined;
  /** File that names the mail server; without one no letters are sent. */
  mailFile?: string | undefined;
  rateLimits?: Partial<RateLimits> | undefined;
  /** Ends the start; not what was started. */
  signal?: AbortSignal | undefined;
  clock: Clock;
  random: Random;
  logger: Logger;
}

export interface RunningServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Holds a superuser token of the account `admin`. */
  readonly adminTokenFile: string;
}

/**
 * Starts the server: HTTP API, channels of hosts and hubs, tunnels, deadlines. All wiring is here.
 * @throws AppError `port_in_use`, `conflict` (data folder in use, or copied from one in use), `store_unavailable`, `config_invalid`, `bad_input`
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { dataFolder, clock, random, logger } = options;
  const isTrusted = readTrustedProxies(options.trustedProxies ?? []);
  const addressOf = (request: IncomingMessage) => clientAddress(request, isTrusted);
  const outside = new OutsideAddresses(options.hooksMayReach ?? []);
  const sendMail = options.mailFile === undefined ? undefined : await openMail(options.mailFile);
  const undo: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (let end = undo.pop(); end !== undefined; end = undo.pop()) await end();
  };
  const owned = <Resource extends AsyncDisposable>(resource: Resource): Resource => {
    undo.push(async () => resource[Symbol.asyncDispose]());
    return resource;
  };
  try {
    // First of all: two servers that start at once must not make each other's keys.
    owned(await lockFolder({ folder: dataFolder, name: "server.lock", holder: "another server" }));
    const secrets = await openServerSecrets(dataFolder, random);
    const replicaId = await readOrMakeReplicaId(join(dataFolder, "replica-id"), random);
    const connection = await openStore(options, owned);
    const database = owned(await connectDatabase({ connection, replicaId, logger, clock, random }));
    const core = new ServerCore({ database, replicaId, identity: secrets.identity, clock, random, logger });
    const { wakeUps, presence, connected } = core;
    undo.push(async () => wakeUps[Symbol.dispose]());

    const codec = new TokenCodec({ tokenKey: secrets.tokenKey, clock, random });
    const known = new KnownTokens(database.wakeUps);
    undo.push(async () => known[Symbol.dispose]());
    const tokens = new TokenService({ database, codec, known, clock });
    const identify = (token: string, origin: string) => tokens.identify(token, origin);
    const adminTokenFile = join(dataFolder, "admin.token");
    await keepAdminToken({ database, tokens, codec, clock }, adminTokenFile);

    const strangers = new Strangers({ isProxy: isTrusted, logger });
    const estops = new EstopService({ database, estops: core.estops, clock, random, logger });
    undo.push(async () => estops[Symbol.dispose]());
    const deps = {
      database,
      wakeUps,
      estops,
      tokens,
      identify,
      addressOf,
      strangers,
      hasMail: sendMail !== undefined,
      secrets,
      identity: secrets.identity,
      clock,
      random,
      logger,
    };
    undo.push(() =>
      // The next start does it again: a store that cannot be reached now must not keep the rest from being ended.
      presence.clear().catch((error: unknown) => logger.warn("cannot record that all connections ended", { error })),
    );
    const app = createApp({ ...deps, rateLimits: { ...DEFAULT_RATE_LIMITS, ...options.rateLimits } });
    undo.push(() => app.close());
    const routes = [
      peerChannelRoute(core.hosts, { ...deps, presence, connected }),
      peerChannelRoute(core.hubs, { ...deps, presence, connected }),
      tunnelRoute(deps),
      heartbeatRoute({ ...deps, connected, deployments: core.estops.deployments }),
    ];
    const upgrades = owned(serveUpgrades(app.server, routes, deps));
    undo.push(async () => presence[Symbol.dispose]());

    const port = await listen(app, options);
    owned(await core.begin());
    const hookDeps = { outside, sendMail, sealingKey: secrets.sealingKey, resolve: (name: string) => lookup(name, { all: true }), clock };
    owned(new DeliveriesJob({ ...deps, deliver: (delivery, signal) => deliver(delivery, hookDeps, signal) }));
    upgrades.open();
    const url = options.publicUrl ?? `http://${reachable(options.host)}:${port}`;
    logger.info("server is listening", { url, port });
    return { url, port, adminTokenFile, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function openStore(
  options: ServerOptions,
  owned: <Resource extends AsyncDisposable>(resource: Resource) => Resource,
): Promise<Connection> {
  if (options.databaseUrl !== undefined) return options.databaseUrl;
  const { dataFolder, logger, clock, random, signal } = options;
  const folder = options.socketFolder ?? socketFolder(dataFolder, { uid: process.getuid?.() ?? -1 });
  const cluster = owned(
    await startPrivateCluster({ dataFolder, socketFolder: folder, logger, clock, random, ...(signal === undefined ? {} : { signal }) }),
  );
  return cluster.connection;
}

/** Stays the same over restarts, so that a replica knows which connections were its own. */
async function readOrMakeReplicaId(path: string, random: Random): Promise<string> {
  const present = (await readTextIfThere(path))?.trim();
  if (present) return present;
  const made = random.uuid();
  await writeFileDurably(path, `${made}\n`);
  return made;
}

async function listen(app: FastifyInstance, { host, port }: ServerOptions): Promise<number> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw toAppError(error);
    throw new AppError("port_in_use", `port ${port} on ${host} is used by another program; stop it, or choose another port (--port)`, {
      details: { field: "port", port },
      cause: error,
    });
  }
  return (app.server.address() as AddressInfo).port;
}

/** A host name for a URL: an address to listen on everywhere is reached on this computer. */
function reachable(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "127.0.0.1";
  return isIPv6(host) ? `[${host}]` : host;
}
