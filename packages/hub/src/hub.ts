import { HubDesired, type HubToServer } from "@hardshare/protocol";
import { BackOff, type Clock, Deferred, lockFolder, type Logger, OwnedParts, type Random } from "@hardshare/runtime";
import { type ChannelClient, connectChannel } from "@hardshare/wire";
import { openWebSocket } from "@hardshare/wire/node";
import { sameKey, signWith, verifyWith } from "@hardshare/wire/ssh";
import { HubCore } from "./hub-core.ts";
import { type HubKeys, loadHubKeys } from "./keys.ts";
import { ensureRegistered, type Registration } from "./registration.ts";

const SOFTWARE_VERSION = "0.1.0";

/** Delays between attempts to reach the server. */
const RECONNECT_FIRST_MS = 100;
const RECONNECT_MAX_MS = 5000;

export interface StartHubOptions {
  /** Its keys and its registration. */
  dataFolder: string;
  /** Address of the server, `http://…` or `https://…`. */
  serverUrl: string;
  /** API token of a superuser, for the first start: then the hub registers. */
  token?: string | undefined;
  /** Name for people. */
  name: string;
  /** Address by which hosts, users and the server reach it. */
  publicHost: string;
  /** Address to listen on. */
  bindHost: string;
  /** SSH port; 0 for any that is free. */
  sshPort: number;
  /** Public ports of instances. */
  firstPort: number;
  lastPort: number;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** A running hub. Disposing it ends all its tunnels. */
export interface Hub extends AsyncDisposable {
  readonly id: string;
  /** The SSH port that it listens on. */
  readonly sshPort: number;
  /** Its SSH host key, an OpenSSH public key line. */
  readonly hostKey: string;
  /** Settles when it is connected to the server for the first time: instances can be launched on it. */
  readonly ready: Promise<void>;
}

/**
 * Starts a hub: registers it if need be, listens, and keeps a channel to the server, which says what endpoints should
 * be open. While the server is away the endpoints stay as they are.
 * @throws AppError `port_in_use`, `conflict` (another hub works on the folder), and as `ensureRegistered`
 */
export async function startHub(options: StartHubOptions): Promise<Hub> {
  const { dataFolder } = options;
  const serverUrl = options.serverUrl.replace(/\/+$/, "");
  const parts = new OwnedParts();
  const dispose = () => parts[Symbol.asyncDispose]();
  try {
    parts.own(await lockFolder({ folder: dataFolder, name: "hub.lock", holder: "another hub" }));
    const keys = await loadHubKeys(dataFolder);
    const registration = await ensureRegistered({ ...options, serverUrl, keys });
    let channel: ChannelClient<HubToServer> | undefined;
    const core = new HubCore({
      ...options,
      sshHostKey: keys.sshHost.privateKey,
      serverKey: registration.serverKey,
      onReport: (report) => channel?.send(report),
    });
    parts.own(core);
    const sshPort = await core.listen(options.sshPort);
    const connected = new Deferred();
    channel = openChannel({ ...options, serverUrl }, { keys, registration, core, sshPort, onConnected: () => connected.resolve() });
    parts.own(channel);
    const hostKey = keys.sshHost.publicKey;
    return { id: registration.id, sshPort, hostKey, ready: connected.promise, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

function openChannel(
  options: StartHubOptions,
  hub: { keys: HubKeys; registration: Registration; core: HubCore; sshPort: number; onConnected: () => void },
): ChannelClient<HubToServer> {
  const { serverUrl, publicHost, firstPort, lastPort, clock, random, logger } = options;
  const { keys, registration, core, sshPort } = hub;
  let problem: string | undefined;
  return connectChannel<HubDesired, HubToServer>({
    url: `${serverUrl.replace(/^http/, "ws")}/channel/hub`,
    role: "hub",
    id: registration.id,
    session: random.uuid(),
    privateKey: keys.identity.privateKey,
    serverKey: registration.serverKey,
    hello: () => ({
      softwareVersion: SOFTWARE_VERSION,
      publicHost,
      sshPort,
      firstPort,
      lastPort,
      sshHostKey: keys.sshHost.publicKey,
    }),
    receive: HubDesired,
    onOpen: (send) => {
      problem = undefined;
      // Nothing could be sent before, during the handshake neither.
      for (const report of core.reports()) send(report);
      logger.info("connected to the server", { server: serverUrl });
      hub.onConnected();
    },
    onMessage: (message) => core.apply(message),
    onClose: (reason) => logger.warn("the server is away; endpoints stay as they are", { server: serverUrl, reason }),
    onRefused: (code, message) => {
      // Endpoints go on without the server, and what it refuses today it may accept tomorrow.
      if (problem !== message) logger.error("the server refuses this hub", { server: serverUrl, code, message });
      problem = message;
      return "retry";
    },
    openSocket: openWebSocket,
    backOff: new BackOff({ firstMs: RECONNECT_FIRST_MS, maxMs: RECONNECT_MAX_MS, random }),
    crypto: { sign: signWith, verify: verifyWith, sameKey },
    clock,
    random,
    logger,
  });
}
