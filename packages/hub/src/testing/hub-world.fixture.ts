import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import {
  DeploymentId,
  type DesiredEndpoint,
  type EndpointReport,
  type EndpointStatus,
  forwarderUsername,
  InstanceId,
  SERVER_USERNAME,
} from "@hardshare/protocol";
import { BackOff, type Clock, silentLogger, systemClock, systemRandom } from "@hardshare/runtime";
import { type BoundedChannel, generateIdentity, openThroughHub, SshForwarder, type SshForwarderOptions } from "@hardshare/wire/ssh";
import { HubCore } from "../hub-core.ts";

/** Longest delay between two attempts of a host to reach the hub. */
export const MAX_REDIAL_MS = 2500;

/** A hub on 127.0.0.1, with keys for everybody, and what else a test needs around it; all of it ends with the world. */
export class HubWorld implements AsyncDisposable {
  readonly sshHost = generateIdentity("hub");
  readonly server = generateIdentity("server");
  readonly host = generateIdentity("host");
  readonly user = generateIdentity("user");
  readonly reports: EndpointReport[] = [];
  readonly #clock: Clock;
  readonly #owned: AsyncDisposable[] = [];
  readonly #watchers = new Set<() => void>();
  #core: HubCore | undefined;
  #sshPort = 0;

  /** @param clock the hub's */
  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  static async start(clock?: Clock): Promise<HubWorld> {
    const world = new HubWorld(clock);
    await world.startHub();
    return world;
  }

  get core(): HubCore {
    if (this.#core === undefined) throw new Error("the hub is not running");
    return this.#core;
  }

  get sshPort(): number {
    return this.#sshPort;
  }

  /** Starts the hub again on the same SSH port, with nothing but its key. */
  async startHub(): Promise<void> {
    this.#core = new HubCore({
      sshHostKey: this.sshHost.privateKey,
      serverKey: this.server.publicKey,
      bindHost: "127.0.0.1",
      firstPort: 1024,
      lastPort: 65_535,
      onReport: (report) => {
        this.reports.push(report);
        for (const watch of this.#watchers) watch();
      },
      clock: this.#clock,
      random: systemRandom,
      logger: silentLogger,
    });
    this.#sshPort = await this.#core.listen(this.#sshPort);
  }

  async stopHub(): Promise<void> {
    await this.#core?.[Symbol.asyncDispose]();
    this.#core = undefined;
  }

  /** An endpoint of a new instance that is open; another port takes the place of one that somebody has bound meanwhile. */
  async open(given: Partial<DesiredEndpoint> = {}): Promise<DesiredEndpoint> {
    for (;;) {
      const desired = await this.makeDesired(given);
      this.apply(desired);
      const isOpen = await Promise.race([
        this.reported("open", desired).then(() => true),
        this.reported("port_taken", desired).then(() => false),
      ]);
      if (isOpen) return desired;
      this.close(desired);
    }
  }

  /** An endpoint of a new instance, with a public port that is free, not yet applied. */
  async makeDesired(given: Partial<DesiredEndpoint> = {}): Promise<DesiredEndpoint> {
    return {
      instanceId: InstanceId.parse(systemRandom.uuid()),
      epoch: 1,
      deploymentId: DeploymentId.parse(systemRandom.uuid()),
      publicPort: await findFreePort(),
      forwarderKey: this.host.publicKey,
      userKeys: [this.user.publicKey],
      firewall: null,
      probe: "connect",
      ...given,
    };
  }

  /** Says what should be, beside what is already. */
  apply(...endpoints: DesiredEndpoint[]): void {
    this.core.apply({ type: "desired", full: false, endpoints, closed: [] });
  }

  close({ instanceId, epoch }: DesiredEndpoint): void {
    this.core.apply({ type: "desired", full: false, endpoints: [], closed: [{ instanceId, epoch }] });
  }

  /** Waits until the hub has reported this status, counted from report number `since`. */
  async reported(status: EndpointStatus, { instanceId, epoch }: DesiredEndpoint, since = 0): Promise<EndpointReport> {
    for (;;) {
      const found = this.reports
        .slice(since)
        .find((report) => report.status === status && report.instanceId === instanceId && report.epoch === epoch);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        const watch = () => {
          this.#watchers.delete(watch);
          resolve();
        };
        this.#watchers.add(watch);
      });
    }
  }

  /** The host of an instance: forwards to a port on 127.0.0.1, or to what `dial` gives; comes through the SSH port `port`. */
  startHost(
    desired: DesiredEndpoint,
    target: number | (() => Promise<Duplex>),
    {
      connections = 2,
      port = this.#sshPort,
      ...given
    }: { connections?: number; port?: number } & Partial<Pick<SshForwarderOptions, "clock" | "onError">> = {},
  ): SshForwarder {
    const forwarder = new SshForwarder({
      target: {
        host: "127.0.0.1",
        port,
        hostKey: this.sshHost.publicKey,
        username: forwarderUsername(desired.instanceId),
        connections,
      },
      privateKey: this.host.privateKey,
      dial: typeof target === "number" ? () => connectTo(target) : target,
      onBound: () => {},
      onLost: () => {},
      onError: () => {},
      newBackOff: () => new BackOff({ firstMs: 100, maxMs: MAX_REDIAL_MS, random: systemRandom }),
      clock: systemClock,
      logger: silentLogger,
      ...given,
    });
    this.#owned.push(forwarder);
    return forwarder;
  }

  /** A stream as the server opens it for a user at `originAddress`. */
  openAsServer(desired: DesiredEndpoint, originAddress = "192.0.2.1", privateKey = this.server.privateKey): Promise<BoundedChannel> {
    return openThroughHub({
      host: "127.0.0.1",
      port: this.#sshPort,
      hostKey: this.sshHost.publicKey,
      username: SERVER_USERNAME,
      privateKey,
      destination: desired.instanceId,
      originAddress,
      originPort: 1,
      signal: new AbortController().signal,
      clock: systemClock,
    });
  }

  /** A TCP server; its connections are handed to `serve`. @returns its port */
  async listen(serve: (socket: Socket) => void): Promise<number> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    const sockets = new Set<Socket>();
    server.on("connection", (socket: Socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.once("close", () => sockets.delete(socket));
      serve(socket);
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    this.#owned.push({
      async [Symbol.asyncDispose]() {
        for (const socket of sockets) socket.destroy();
        server.close();
      },
    });
    return (server.address() as AddressInfo).port;
  }

  /** A way to the hub's SSH port that carries nothing more once it is frozen. */
  async makeWay(): Promise<{ port: number; freeze(): void }> {
    const sockets: Socket[] = [];
    const port = await this.listen((near) => {
      const far = connect(this.#sshPort, "127.0.0.1");
      sockets.push(near, far);
      far.on("error", () => {});
      near.pipe(far).pipe(near);
      near.once("close", () => far.destroy());
    });
    return {
      port,
      freeze: () => {
        for (const socket of sockets) socket.unpipe().pause();
      },
    };
  }

  /** Hands something over, to be disposed with the world. */
  own(resource: AsyncDisposable): void {
    this.#owned.push(resource);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const resource of this.#owned.splice(0).toReversed()) await resource[Symbol.asyncDispose]();
    await this.stopHub();
  }
}

/** Connects to a port on 127.0.0.1. */
export async function connectTo(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
  await once(socket, "connect");
  socket.on("error", () => {});
  return socket;
}

/** Sends back what comes. */
export function echo(socket: Socket): void {
  socket.pipe(socket);
}

/** Sends a text and reads until the end. */
export async function exchange(stream: Duplex, text: string): Promise<string> {
  stream.end(text);
  let answer = "";
  for await (const chunk of stream) answer += String(chunk);
  return answer;
}

/** A port of 127.0.0.1 that nobody has bound, below the range from which the system takes ports of outgoing connections. */
export async function findFreePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(systemRandom.fraction() * 12_000);
    const server = createServer();
    try {
      await once(server.listen(port, "127.0.0.1"), "listening");
      return port;
    } catch {
      // occupied: the next one
    } finally {
      server.close();
    }
  }
}
