import { once } from "node:events";
import type { AddressInfo } from "node:net";
import {
  type DesiredInstance,
  FORWARD_PORT,
  forwarderUsername,
  HostHello,
  type HostEstop,
  type HostReport,
  type HostToServer,
  HostToServer as HostToServerSchema,
  type ReportBody,
  type ServerToHost,
} from "@hardshare/protocol";
import { silentLogger, systemClock, systemRandom } from "@hardshare/runtime";
import { acceptChannel, type FrameChannel } from "@hardshare/wire";
import { wrapWebSocket } from "@hardshare/wire/node";
import {
  type BoundedChannel,
  generateIdentity,
  HOST_LIVENESS,
  parsePublicKey,
  sameKey,
  signWith,
  SshServer,
  type SshSession,
  verifyWith,
} from "@hardshare/wire/ssh";
import { WebSocketServer } from "ws";

/** The server's end of the host channel, and a hub, without their rules: says what it is told to say, and keeps what it hears. */
export class TestServer implements AsyncDisposable {
  readonly identity = generateIdentity("server");
  readonly hubKey = generateIdentity("hub");
  readonly heard: HostToServer[] = [];
  readonly hellos: HostHello[] = [];
  /** What `desired` says for each deployment; sent on connecting and by `tell`. */
  readonly desired = new Map<string, DesiredInstance | null>();
  /** The owner's E-stop that `desired` says is in force for a deployment. */
  readonly estopInForce = new Map<string, { lockoutId: string; actor: string }>();
  /** Deployments that `desired` says are dissolved. */
  readonly dissolved = new Map<string, { reason: string; actor: string; at: string }>();
  isAcknowledging = true;
  url = "";
  hubPort = 0;
  readonly #hostKey: string;
  readonly #sockets = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  readonly #hub: SshServer<string>;
  readonly #sessions = new Map<string, SshSession<string>[]>();
  readonly #waiting = new Set<() => void>();
  #channel: FrameChannel<HostToServer, ServerToHost> | undefined;

  private constructor(hostKey: string) {
    this.#hostKey = hostKey;
    const blob = parsePublicKey(hostKey).blob;
    this.#hub = new SshServer<string>({
      hostKey: this.hubKey.privateKey,
      logIn: (username, key) => (key.equals(blob) ? username : undefined),
      onSession: (session) => ({
        liveness: HOST_LIVENESS,
        onStream: (request) => request.reject("prohibited", "no"),
        onForward: () => {
          this.#sessions.set(session.who, [...(this.#sessions.get(session.who) ?? []), session]);
          this.#wake();
          return true;
        },
        onForwardCancelled: () => {},
        onClose: () => {
          this.#sessions.set(
            session.who,
            (this.#sessions.get(session.who) ?? []).filter((each) => each !== session),
          );
          this.#wake();
        },
      }),
      clock: systemClock,
      logger: silentLogger,
    });
  }

  static async start(hostKey: string): Promise<TestServer> {
    const server = new TestServer(hostKey);
    // A daemon may be killed before it has said who it is.
    server.#sockets.on("connection", (socket) => void server.#accept(wrapWebSocket(socket)).catch(() => {}));
    if (!server.#sockets.address()) await once(server.#sockets, "listening");
    server.url = `http://127.0.0.1:${(server.#sockets.address() as AddressInfo).port}`;
    server.hubPort = await server.#hub.listen(0, "127.0.0.1");
    return server;
  }

  /** Says what should be for one deployment from now on. */
  tell(deploymentId: string, instance: DesiredInstance | null): void {
    this.desired.set(deploymentId, instance);
    this.#channel?.send({ type: "desired", full: false, deployments: [this.#describe(deploymentId)] });
  }

  /** Presses E-stop, and waits until the host has acted on it. */
  async estop(press: Omit<HostEstop, "type" | "estopId" | "lockoutId"> & { lockoutId?: string }): Promise<void> {
    const estopId = systemRandom.uuid();
    const lockoutId = press.lockoutId ?? `estop:${press.instance?.instanceId ?? estopId}`;
    this.#channel?.send({ type: "estop", ...press, estopId, lockoutId });
    await this.until(() => this.heard.find((each) => each.type === "estop_ack" && each.estopId === estopId));
  }

  send(message: ServerToHost): void {
    this.#channel?.send(message);
  }

  /** Where the host is to dial for an instance. */
  target(instanceId: string): DesiredInstance["tunnel"] {
    return {
      host: "127.0.0.1",
      port: this.hubPort,
      hostKey: this.hubKey.publicKey,
      username: forwarderUsername(instanceId),
      connections: 2,
    };
  }

  /** Reports of an instance, in order of their numbers, each once. */
  reports(instanceId: string): HostReport[] {
    const found = new Map<number, HostReport>();
    for (const message of this.heard)
      if (message.type === "report" && message.instanceId === instanceId) found.set(message.sequence, message);
    return [...found.values()].toSorted((a, b) => a.sequence - b.sequence);
  }

  /** Waits for a report of an instance. */
  async report<Kind extends ReportBody["kind"]>(
    instanceId: string,
    kind: Kind,
    fits: (body: Extract<ReportBody, { kind: Kind }>) => boolean = () => true,
  ): Promise<Extract<ReportBody, { kind: Kind }>> {
    return this.until(() => {
      for (const { body } of this.reports(instanceId)) {
        if (body.kind === kind && fits(body as Extract<ReportBody, { kind: Kind }>)) return body as Extract<ReportBody, { kind: Kind }>;
      }
      return undefined;
    });
  }

  /** Waits until `look` finds something; it looks after each message and each change at the hub. */
  async until<T>(look: () => T | undefined): Promise<T> {
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  /** SSH connections of an instance's host that have bound their forward. */
  forwards(instanceId: string): SshSession<string>[] {
    return this.#sessions.get(forwarderUsername(instanceId)) ?? [];
  }

  /** A stream through the tunnel, as a user gets it. */
  async open(instanceId: string): Promise<BoundedChannel> {
    const session = await this.until(() => this.forwards(instanceId)[0]);
    const target = { host: "", port: FORWARD_PORT, originAddress: "192.0.2.1", originPort: 1 };
    return session.channels.open(target, AbortSignal.timeout(10_000));
  }

  /** Breaks the channel, as a restart of the server does. */
  disconnect(): void {
    this.#channel?.close("restart");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#sockets.clients) client.terminate();
    await new Promise((resolve) => this.#sockets.close(resolve));
    await this.#hub[Symbol.asyncDispose]();
  }

  async #accept(socket: ReturnType<typeof wrapWebSocket>): Promise<void> {
    const { hello, channel } = await acceptChannel<HostHello, HostToServer, ServerToHost>({
      socket,
      role: "host",
      hello: HostHello,
      receive: HostToServerSchema,
      privateKey: this.identity.privateKey,
      publicKey: this.identity.publicKey,
      lookUpKey: async () => this.#hostKey,
      admit: async () => {},
      now: () => new Date(),
      crypto: { sign: signWith, verify: verifyWith, sameKey },
      clock: systemClock,
      random: systemRandom,
    });
    this.hellos.push(hello);
    this.#channel = channel;
    channel.handle((message) => this.#hear(message, channel));
    channel.send({ type: "desired", full: true, deployments: [...this.desired.keys()].map((id) => this.#describe(id)) });
    this.#wake();
  }

  #hear(message: HostToServer, channel: FrameChannel<HostToServer, ServerToHost>): void {
    this.heard.push(message);
    if (message.type === "deployments") channel.send({ type: "deployments_ack", revision: message.revision });
    if (this.isAcknowledging) {
      if (message.type === "report") {
        const { instanceId, epoch, sequence } = message;
        channel.send({ type: "report_ack", instanceId, epoch, sequence });
      }
      if (message.type === "lockout") channel.send({ type: "lockout_ack", lockoutId: message.lockoutId });
    }
    this.#wake();
  }

  #describe(deploymentId: string): Extract<ServerToHost, { type: "desired" }>["deployments"][number] {
    const instance = this.desired.get(deploymentId) ?? null;
    const recorded = instance === null ? 0 : Math.max(0, ...this.reports(instance.instanceId).map((report) => report.sequence));
    return {
      deploymentId: deploymentId as never,
      lockout: null,
      estop: this.estopInForce.get(deploymentId) ?? null,
      dissolved: this.dissolved.get(deploymentId) ?? null,
      instance:
        instance === null
          ? null
          : { ...instance, remainingMs: Date.parse(instance.deadline) - Date.now(), lastSequence: this.isAcknowledging ? recorded : 0 },
    };
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }
}
