import { Duplex } from "node:stream";
import { FORWARD_PORT } from "@hardshare/protocol";
import { expect } from "vitest";
import type { BoundedChannel } from "../bounded-channel.ts";
import type { ChannelRequest } from "../channel-table.ts";
import { SshForwarder, type SshForwarderOptions } from "../forwarder.ts";
import { generateIdentity } from "../identity.ts";
import { HOST_LIVENESS } from "../liveness.ts";
import { parsePublicKey } from "../public-key.ts";
import { pump } from "../pump.ts";
import { type SessionRules, SshServer, type SshSession } from "../ssh-server.ts";

export const clock = {
  monotonicMs: () => performance.now(),
  after(delayMs: number, run: () => void) {
    const timer = setTimeout(run, delayMs);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};

/** The clock, but timers of one length wait for the test to fire them. */
export function holdBack(heldMs: number) {
  const waiting = new Set<() => void>();
  const armed: (() => void)[] = [];
  return {
    waiting,
    /** Settles when the next of them is set. */
    untilArmed: () => new Promise<void>((resolve) => void armed.push(resolve)),
    fire() {
      const due = [...waiting]; // each may set the next
      waiting.clear();
      for (const run of due) run();
    },
    clock: {
      ...clock,
      after(delayMs: number, run: () => void): Disposable {
        if (delayMs !== heldMs) return clock.after(delayMs, run);
        waiting.add(run);
        for (const resolve of armed.splice(0)) resolve();
        return { [Symbol.dispose]: () => void waiting.delete(run) };
      },
    },
  };
}

const logger = { info() {}, warn() {} };
const never = new AbortController().signal;
const forwarded = { host: "", port: FORWARD_PORT, originAddress: "192.0.2.1", originPort: 1234 };

/** A server that takes forwards of one user, and opens streams through the first, and what else a test needs around it. */
export class SshWorld implements AsyncDisposable {
  readonly hostKey = generateIdentity("hub");
  readonly user = generateIdentity("host");
  /** Connections whose forward is bound. */
  sessions: SshSession<string>[] = [];
  /** How often somebody has logged in. */
  logInCount = 0;
  port = 0;
  readonly #cleanUps: (() => unknown)[] = [];
  #server: SshServer<string> | undefined;

  /** @param serverClock the server's */
  static async start(serverClock = clock): Promise<SshWorld> {
    const world = new SshWorld();
    await world.startServer(serverClock);
    return world;
  }

  /** Starts the server, again on the same port. */
  async startServer(serverClock = clock): Promise<void> {
    this.sessions = [];
    this.#server = new SshServer<string>({
      hostKey: this.hostKey.privateKey,
      clock: serverClock,
      logger,
      logIn: (username, key) => (key.equals(parsePublicKey(this.user.publicKey).blob) ? username : undefined),
      onSession: (session) => this.#serve(session),
    });
    this.port = await this.#server.listen(this.port, "127.0.0.1");
  }

  #serve(session: SshSession<string>): SessionRules {
    this.logInCount += 1;
    return {
      liveness: HOST_LIVENESS,
      onForward: () => {
        this.sessions.push(session);
        return true;
      },
      onForwardCancelled: () => {},
      onClose: () => void (this.sessions = this.sessions.filter((other) => other !== session)),
      onStream: (request) => void this.#carry(request),
    };
  }

  async #carry(request: ChannelRequest): Promise<void> {
    try {
      await using stream = await this.openForwarded(request.originAddress);
      await pump(request.accept(), stream);
    } catch {
      request.reject("connect_failed", "the target does not answer");
    }
  }

  async stopServer(): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
  }

  /** A forwarder whose forward is bound. */
  async startForwarder(dial: SshForwarderOptions["dial"], options: Partial<SshForwarderOptions> = {}): Promise<SshForwarder> {
    const forwarder = new SshForwarder({
      target: { host: "127.0.0.1", port: this.port, hostKey: this.hostKey.publicKey, username: "h-1", connections: 1 },
      privateKey: this.user.privateKey,
      dial,
      onBound: () => {},
      onLost: () => {},
      onError: () => {},
      newBackOff: () => ({ nextMs: () => 20, reset() {} }),
      clock,
      logger,
      ...options,
    });
    this.atEnd(() => forwarder[Symbol.asyncDispose]());
    await expect.poll(() => this.sessions.length === (forwarder.boundConnections || -1), { interval: 5 }).toBe(true);
    return forwarder;
  }

  /** A stream to the first of those who forward. */
  async openForwarded(originAddress = forwarded.originAddress): Promise<BoundedChannel> {
    const [session] = this.sessions;
    if (session === undefined) throw new Error("no host is connected");
    return session.channels.open({ ...forwarded, originAddress }, never);
  }

  /** Does something when the world ends, before the server stops. */
  atEnd(cleanUp: () => unknown): void {
    this.#cleanUps.push(cleanUp);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const cleanUp of this.#cleanUps.splice(0)) await cleanUp();
    await this.stopServer();
  }
}

/** A stream that sends back what it takes. */
export function makeEcho(): Duplex {
  return new Duplex({
    read() {},
    write(chunk, _encoding, done) {
      this.push(chunk);
      done();
    },
    final(done) {
      this.push(null);
      done();
    },
  });
}
