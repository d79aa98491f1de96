import { type EndpointReport, HubDesired, type HubToServer } from "@hardshare/protocol";
import { BackOff, type Clock, type Logger, type Random } from "@hardshare/runtime";
import { type ChannelClient, connectChannel, type MessageSocket } from "@hardshare/wire";
import { sameKey, signWith, verifyWith } from "@hardshare/wire/ssh";
import type { HubKeys } from "./keys.ts";
import type { Registration } from "./registration.ts";

const SOFTWARE_VERSION = "0.1.0";

/** Delays between attempts to reach the server. */
const RECONNECT_FIRST_MS = 100;
const RECONNECT_MAX_MS = 5000;

export interface HubChannelOptions {
  serverUrl: string;
  /** Where hosts, users and the server reach the hub. */
  publicHost: string;
  sshPort: number;
  firstPort: number;
  lastPort: number;
  openSocket(url: string, signal: AbortSignal): Promise<MessageSocket>;
  clock: Clock;
  random: Random;
  logger: Logger;
}

interface ConnectedHub {
  keys: HubKeys;
  registration: Registration;
  core: { apply(desired: HubDesired): void; reports(): EndpointReport[] };
  onConnected: () => void;
}

/** Keeps the hub's channel to the server up: what should be comes in, what became of it goes out. */
export function connectToServer(options: HubChannelOptions, hub: ConnectedHub): ChannelClient<HubToServer> {
  const { serverUrl, publicHost, sshPort, firstPort, lastPort, clock, random, logger } = options;
  const { keys, registration, core } = hub;
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
      if (problem !== message) logger.error("the server refuses this hub", { server: serverUrl, code, reason: message });
      problem = message;
      return "retry";
    },
    openSocket: (url, signal) => options.openSocket(url, signal),
    backOff: new BackOff({ firstMs: RECONNECT_FIRST_MS, maxMs: RECONNECT_MAX_MS, random }),
    crypto: { sign: signWith, verify: verifyWith, sameKey },
    clock,
    random,
    logger,
  });
}
