import type { HubToServer } from "@hardshare/protocol";
import { type Clock, Deferred, lockFolder, type Logger, OwnedParts, type Random } from "@hardshare/runtime";
import type { ChannelClient } from "@hardshare/wire";
import { openWebSocket } from "@hardshare/wire/node";
import { connectToServer } from "./hub-channel.ts";
import { HubCore } from "./hub-core.ts";
import { loadHubKeys } from "./keys.ts";
import { ensureRegistered } from "./registration.ts";

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
    const place = { ...options, serverUrl, sshPort, openSocket: openWebSocket };
    channel = connectToServer(place, { keys, registration, core, onConnected: () => connected.resolve() });
    parts.own(channel);
    const hostKey = keys.sshHost.publicKey;
    return { id: registration.id, sshPort, hostKey, ready: connected.promise, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}
