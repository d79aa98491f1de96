import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import {
  AppError,
  type DesiredEndpoint,
  type EndpointReport,
  type EndpointStatus,
  MAX_REASON_CHARS,
  toAppError,
} from "@hardshare/protocol";
import type { Clock, Logger, Random } from "@hardshare/runtime";
import { cut } from "@hardshare/runtime/sockets";
import { type ChannelRequest, parsePublicKey, pump } from "@hardshare/wire/ssh";
import { decideFirewall } from "./firewall.ts";
import { HostLinks, type Origin } from "./host-links.ts";
import { Prober } from "./probe.ts";
import type { BindPort, BoundPort } from "./public-port.ts";
import { type InstanceSession, Sessions } from "./sessions.ts";
import { MAX_VISITORS, Visitors } from "./visitors.ts";

export interface EndpointOptions {
  desired: DesiredEndpoint;
  /** Address on which public ports are bound, and the ports that may be. */
  bindHost: string;
  firstPort: number;
  lastPort: number;
  bindPort: BindPort;
  onReport(report: EndpointReport): void;
  clock: Clock;
  random: Random;
  logger: Logger;
}

const LEFT = new AppError("cancelled", "the user has left");

/**
 * What the hub opens for one instance and epoch: its public port, the connections of its host, and the streams of its
 * users, who come through the port, as jump users, or through the server. Each change is reported.
 */
export class Endpoint {
  readonly #options: EndpointOptions;
  readonly #logger: Logger;
  readonly #links: HostLinks;
  readonly #visitors = new Visitors();
  readonly #sessions = new Sessions();
  readonly #prober: Prober;
  #isClosed = false;
  #desired: DesiredEndpoint;
  #forwarderKey: Buffer | undefined;
  #userKeys: Buffer[] = [];
  #port: BoundPort | undefined;
  /** The port that is bound, being bound or taken; what counts is the last one that was asked for. */
  #wantedPort: number | null | undefined;
  /** Of the port that is wanted; not known yet while it is being bound. */
  #report: { status: EndpointStatus; message?: string } | undefined;

  constructor(options: EndpointOptions) {
    const { desired, clock, random } = options;
    this.#options = options;
    this.#desired = desired;
    this.#logger = options.logger.child({ instanceId: desired.instanceId, epoch: desired.epoch });
    this.#links = new HostLinks(clock);
    this.#prober = new Prober({
      kind: desired.probe,
      way: {
        publicAddress: () => this.#port?.knockAt ?? null,
        open: (signal) => this.#links.open({ address: "127.0.0.1", port: 0 }, signal),
      },
      onProbed: () => this.#setStatus("probed"),
      onFailure: (error) => this.#setStatus("forwarded", `probe: ${error.message}`),
      clock,
      random,
    });
    this.update(desired);
  }

  get epoch(): number {
    return this.#desired.epoch;
  }

  get instanceId(): string {
    return this.#desired.instanceId;
  }

  get deploymentId(): string {
    return this.#desired.deploymentId;
  }

  /** Where it stands, or undefined while its port is being bound. */
  get report(): EndpointReport | undefined {
    const { instanceId, epoch, publicPort } = this.#desired;
    return this.#report && { type: "endpoint", instanceId, epoch, publicPort, ...this.#report };
  }

  /** Takes over the desired state of the same epoch: who may no longer come is cut off at once. */
  update(desired: DesiredEndpoint): void {
    this.#desired = desired;
    this.#forwarderKey = this.#blobsOf([desired.forwarderKey])[0];
    this.#userKeys = this.#blobsOf(desired.userKeys);
    this.#sessions.recheck(({ role, key }) => this.mayLogIn(role, key));
    this.#visitors.recheck(desired.firewall);
    if (this.#wantedPort !== desired.publicPort || this.#report?.status === "port_taken") void this.#bind(desired.publicPort);
  }

  /** Whether the holder of a key may log in as the host of this instance, or as a user of it. */
  mayLogIn(role: "host" | "user", key: Buffer): boolean {
    if (role === "host") return this.#forwarderKey?.equals(key) ?? false;
    return this.#userKeys.some((other) => other.equals(key));
  }

  /** The host, or a user, has logged in. One too many, or too late, is cut. */
  admit(session: InstanceSession): void {
    if (this.#isClosed || !this.#sessions.add(session)) session.cut();
  }

  leave(session: InstanceSession): void {
    this.#sessions.remove(session);
    this.removeLink(session);
  }

  /** A connection of the host asks to forward. @returns whether it may */
  addLink(session: InstanceSession): boolean {
    if (this.#isClosed) return false;
    this.#links.add(session);
    if (this.#links.size === 1 && this.#report?.status === "open") this.#startProbe();
    return true;
  }

  removeLink(session: InstanceSession): void {
    if (!this.#links.remove(session) || this.#links.size > 0) return;
    this.#prober.stop();
    if (this.#report !== undefined && this.#report.status !== "port_taken") this.#setStatus("open");
  }

  /** Answers a request for a stream to this instance, which comes from `origin`, and carries its bytes. */
  async serveStream(request: ChannelRequest, origin: Origin): Promise<void> {
    if (decideFirewall(this.#desired.firewall, origin.address) !== "ACCEPT") {
      return request.reject("prohibited", "the firewall of this instance does not let this address in");
    }
    if (this.#isClosed) return request.reject("connect_failed", "this instance has ended");
    const leaving = new AbortController();
    const visitor = { address: origin.address, cut: () => leaving.abort() };
    if (!this.#visitors.add(visitor)) return request.reject("shortage", `${MAX_VISITORS} connections to this instance are open already`);
    try {
      const upstream = await this.#links.open(origin, leaving.signal);
      try {
        const stream = request.accept();
        // Both: of a user who has sent all, what the host has not yet taken would else go on as a whole stream.
        const leave = () => [stream, upstream].forEach(cut);
        leaving.signal.addEventListener("abort", leave, { once: true });
        if (leaving.signal.aborted) leave();
        await pump(stream, upstream);
      } finally {
        cut(upstream);
      }
    } catch (error) {
      request.reject("connect_failed", toAppError(error).message);
    } finally {
      this.#visitors.remove(visitor);
    }
  }

  /** Ends everything at once: the port is unbound, all connections are reset. */
  close(message?: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#wantedPort = null;
    this.#prober.stop();
    this.#port?.[Symbol.dispose]();
    this.#visitors.cutAll();
    this.#sessions.recheck(() => false);
    this.#setStatus("closed", message);
  }

  #startProbe(): void {
    this.#setStatus("forwarded");
    this.#prober.start();
  }

  async #bind(port: number | null): Promise<void> {
    const { bindHost, firstPort, lastPort, bindPort } = this.#options;
    this.#wantedPort = port;
    this.#report = undefined;
    this.#prober.stop();
    this.#port?.[Symbol.dispose]();
    this.#port = undefined;
    let bound: BoundPort | undefined;
    try {
      if (port !== null && (port < firstPort || port > lastPort)) {
        throw new AppError("port_in_use", `public port ${port} is not one of this hub's (${firstPort}–${lastPort})`);
      }
      if (port !== null) bound = await bindPort(bindHost, port, (socket) => void this.#onConnection(socket));
    } catch (error) {
      if (this.#wantedPort === port && !this.#isClosed) this.#setStatus("port_taken", toAppError(error).message);
      return;
    }
    if (this.#wantedPort !== port || this.#isClosed) return bound?.[Symbol.dispose]();
    this.#port = bound;
    this.#setStatus("open");
    if (this.#links.size > 0) this.#startProbe();
  }

  /** A connection to the public port. Accepted by TCP already, so a refused one is closed, with a reset for `REJECT`. */
  async #onConnection(socket: Socket): Promise<void> {
    const address = socket.remoteAddress ?? "";
    const onOpen = await this.#prober.recognize(socket);
    let upstream: Duplex | undefined;
    const visitor = {
      address,
      cut() {
        cut(socket);
        if (upstream !== undefined) cut(upstream); // of a user who has sent all, the rest would go on as a whole stream
      },
    };
    if (onOpen === undefined) {
      const action = decideFirewall(this.#desired.firewall, address);
      if (action === "DROP") return void socket.destroy();
      if (action === "REJECT" || this.#isClosed || !this.#visitors.addFromPort(visitor)) return cut(socket);
    }
    const left = new AbortController();
    // With a reason: making the default one takes longer than all else about a connection that closes.
    socket.once("close", () => left.abort(LEFT));
    if (socket.destroyed) left.abort(LEFT);
    try {
      const origin = { address, port: socket.remotePort ?? 0 };
      upstream = await this.#links.open(origin, left.signal);
      onOpen?.();
      await pump(socket, upstream);
    } catch (error) {
      this.#logger.debug("a connection to the public port was closed", { address, reason: toAppError(error).message });
      cut(socket);
    } finally {
      this.#visitors.remove(visitor);
    }
  }

  #setStatus(status: EndpointStatus, message?: string): void {
    if (this.#report?.status === "closed") return;
    if (this.#report?.status === status && this.#report.message === message) return;
    this.#report = message === undefined ? { status } : { status, message: message.slice(0, MAX_REASON_CHARS) };
    this.#logger.info("endpoint changed", { ...this.#report });
    if (this.report !== undefined) this.#options.onReport(this.report);
  }

  #blobsOf(lines: readonly string[]): Buffer[] {
    return lines.flatMap((line) => {
      try {
        return [parsePublicKey(line).blob];
      } catch (error) {
        this.#logger.warn("a public key was ignored", { error });
        return [];
      }
    });
  }
}
