import {
  CHANNEL_VERSION,
  type HostDeployment,
  type HostToServer,
  type ServerToHost,
  ServerToHost as ServerToHostSchema,
} from "@hardshare/protocol";
import { BackOff, type Clock, type Logger, type Random } from "@hardshare/runtime";
import { type ChannelClient, connectChannel, type MessageSocket } from "@hardshare/wire";
import { sameKey, signWith, verifyWith } from "@hardshare/wire/ssh";

/** Delays between attempts to reach the server. */
const RECONNECT_FIRST_MS = 100;
const RECONNECT_MAX_MS = 5000;

/** The server, how it is reached, and as whom. */
export interface ServerConnection {
  /** Address of the server, `http://…` or `https://…`. */
  server: string;
  serverKey: string;
  hostId: string;
  privateKey: string;
  bootId: string;
  softwareVersion: string;
  openSocket(url: string, signal: AbortSignal): Promise<MessageSocket>;
}

interface HostChannelOptions extends ServerConnection {
  describe(): HostDeployment[];
  onOpen(): void;
  onMessage(message: ServerToHost): void;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** The host's channel to its server: kept up until disposed. */
export class HostChannel implements AsyncDisposable {
  readonly #client: ChannelClient<HostToServer>;
  #problem: string | null = "not connected yet";

  constructor(options: HostChannelOptions) {
    const { server, hostId, serverKey, privateKey, clock, random, logger } = options;
    this.#client = connectChannel<ServerToHost, HostToServer>({
      url: `${server.replace(/^http/, "ws")}/channel/host`,
      role: "host",
      id: hostId,
      session: random.uuid(),
      privateKey,
      serverKey,
      hello: () => ({
        version: CHANNEL_VERSION,
        bootId: options.bootId,
        softwareVersion: options.softwareVersion,
        deployments: options.describe(),
      }),
      receive: ServerToHostSchema,
      onOpen: () => {
        this.#problem = null;
        logger.info("connected to the server", { server });
        options.onOpen();
      },
      onMessage: (message) => options.onMessage(message),
      onClose: (reason) => {
        this.#problem = reason;
      },
      onRefused: (code, message) => {
        // Instances go on without the server, and what it refuses today it may accept tomorrow: so it is asked again.
        if (this.#problem !== message) logger.error("the server refuses this host", { server, code, reason: message });
        this.#problem = message;
        return "retry";
      },
      openSocket: async (url, signal) => {
        try {
          return await options.openSocket(url, signal);
        } catch (error) {
          this.#problem = (error as Error).message;
          throw error;
        }
      },
      backOff: new BackOff({ firstMs: RECONNECT_FIRST_MS, maxMs: RECONNECT_MAX_MS, random }),
      crypto: { sign: signWith, verify: verifyWith, sameKey },
      clock,
      random,
      logger,
    });
  }

  get isOpen(): boolean {
    return this.#client.isOpen;
  }

  /** Why it is not connected; null when it is. */
  get problem(): string | null {
    return this.#problem;
  }

  /** @returns false when not connected: all that matters is said again on connecting */
  send(message: HostToServer): boolean {
    return this.#client.send(message);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
  }
}
