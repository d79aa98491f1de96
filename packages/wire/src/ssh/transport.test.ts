import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { AppError, FORWARD_PORT } from "@hardshare/protocol";
import ssh2 from "ssh2";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { STEADY_AFTER_MS } from "../channel/connect-channel.ts";
import type { BoundedChannel } from "./bounded-channel.ts";
import { connectToHub } from "./client-connection.ts";
import { SshForwarder, type SshForwarderOptions } from "./forwarder.ts";
import { generateIdentity } from "./identity.ts";
import { KEY_EXCHANGE_TIMEOUT_MS, WINDOW_BYTES } from "./limits.ts";
import { HOST_LIVENESS } from "./liveness.ts";
import { CLOSE_GRACE_MS, openThroughHub } from "./open-through-hub.ts";
import { parsePublicKey } from "./public-key.ts";
import { pump } from "./pump.ts";
import { SshServer, type SshSession } from "./ssh-server.ts";
import { internalsOf } from "./ssh2-internals.ts";

const clock = {
  monotonicMs: () => performance.now(),
  after(delayMs: number, run: () => void) {
    const timer = setTimeout(run, delayMs);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};
const logger = { info() {}, warn() {} };
const hostKey = generateIdentity("hub");
const user = generateIdentity("host");
const never = new AbortController().signal;

/** The clock, but timers of one length wait for the test to fire them. */
function holdBack(heldMs: number) {
  const waiting = new Set<() => void>();
  const armed: (() => void)[] = [];
  return {
    waiting,
    /** Settles when the next of them is set. */
    untilArmed: () => new Promise<void>((resolve) => void armed.push(resolve)),
    fire() {
      for (const run of [...waiting]) {
        waiting.delete(run);
        run();
      }
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
const forwarded = { host: "", port: FORWARD_PORT, originAddress: "192.0.2.1", originPort: 1234 };

let cleanUps: (() => unknown)[] = [];
let sessions: SshSession<string>[];
let server: SshServer<string>;
let port: number;

beforeEach(async () => {
  sessions = [];
  server = makeServer();
  port = await server.listen(0, "127.0.0.1");
});
afterEach(async () => {
  for (const cleanUp of cleanUps) await cleanUp();
  cleanUps = [];
  await server[Symbol.asyncDispose]();
});

function makeServer(serverClock = clock): SshServer<string> {
  return new SshServer<string>({
    hostKey: hostKey.privateKey,
    clock: serverClock,
    logger,
    logIn: (username, key) => (key.equals(parsePublicKey(user.publicKey).blob) ? username : undefined),
    onSession: (session) => {
      return {
        liveness: HOST_LIVENESS,
        onForward: () => {
          sessions.push(session);
          return true;
        },
        onForwardCancelled: () => {},
        onClose: () => void (sessions = sessions.filter((other) => other !== session)),
        onStream: (request) => {
          void sessions[0]?.channels.open({ ...forwarded, originAddress: request.originAddress }, never).then(
            (stream) => pump(request.accept(), stream),
            () => request.reject("connect_failed", "the target does not answer"),
          );
        },
      };
    },
  });
}

/** A stream that takes nothing and sends nothing. */
function makeStalled(): Duplex {
  return new Duplex({ read() {}, write() {} });
}

function makeEcho(): Duplex {
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

function makeEndless(): Duplex {
  return new Duplex({
    read() {
      this.push(Buffer.alloc(65_536));
    },
    write: (_chunk, _encoding, done) => done(),
  });
}

/** A forwarder whose forward is bound. */
async function startForwarder(dial: SshForwarderOptions["dial"], options: Partial<SshForwarderOptions> = {}): Promise<SshForwarder> {
  const target = { host: "127.0.0.1", port, hostKey: hostKey.publicKey, username: "h-1", connections: 1 };
  const forwarder = new SshForwarder({
    target,
    privateKey: user.privateKey,
    dial,
    onBound: () => {},
    onLost: () => {},
    onError: () => {},
    newBackOff: () => ({ nextMs: () => 20, reset() {} }),
    clock,
    logger,
    ...options,
  });
  cleanUps.push(() => forwarder[Symbol.asyncDispose]());
  await expect.poll(() => sessions.length === (forwarder.boundConnections || -1), { interval: 5 }).toBe(true);
  return forwarder;
}

/** Writes on and on until the stream stands still. @returns the bytes taken so far, at any later time */
async function fill(stream: BoundedChannel): Promise<() => number> {
  let taken = 0;
  const chunk = Buffer.alloc(64 * 1024, 1);
  const writeMore = () => {
    stream.write(chunk, (error) => {
      if (error) return;
      taken += chunk.length;
      writeMore();
    });
  };
  writeMore();
  await expect.poll(() => stream.isStalled).toBe(true);
  return () => taken;
}

async function hashOf(stream: Duplex): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of stream) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

async function openForwarded(): Promise<BoundedChannel> {
  const session = sessions[0];
  if (session === undefined) throw new Error("no host is connected");
  return session.channels.open(forwarded, never);
}

test("a stream carries bytes both ways unchanged, also while keys are exchanged anew", async () => {
  await startForwarder(async () => makeEcho());
  const stream = await openForwarded();
  const bytes = randomBytes(4_000_000);
  const hash = createHash("sha256");
  stream.end(bytes);
  let received = 0;
  let renewals = 0;
  for await (const chunk of stream) {
    hash.update(chunk as Buffer);
    received += (chunk as Buffer).length;
    if (received < (renewals + 1) * 500_000) continue;
    renewals += 1;
    sessions[0]?.channels.renewKeys();
  }
  expect(hash.digest("hex")).toBe(createHash("sha256").update(bytes).digest("hex"));
  await expect.poll(() => sessions[0]?.channels.size).toBe(0);
});

test("towards a stalled reader at most 256 kB are taken, and another stream of the same connection flows", async () => {
  const dials = [makeStalled, makeEcho];
  await startForwarder(async () => dials.shift()?.() ?? makeEcho());
  const stalled = await openForwarded();
  const taken = await fill(stalled);
  expect(sessions[0]?.channels.isStalled).toBe(true);
  const bytes = randomBytes(2_000_000);
  const flowing = await openForwarded();
  const answer = hashOf(flowing);
  flowing.end(bytes);
  expect(await answer).toBe(createHash("sha256").update(bytes).digest("hex"));
  expect(taken()).toBeGreaterThanOrEqual(128 * 1024);
  expect(taken()).toBeLessThanOrEqual(256 * 1024);
  expect(stalled.bufferedBytes).toBeLessThanOrEqual(64 * 1024 + 1);
});

test("what comes from a sender that never waits is bounded by the window until the reader reads", async () => {
  await startForwarder(async () => makeEndless());
  const stream = await openForwarded();
  await expect.poll(() => stream.isStalled).toBe(true);
  expect(stream.bufferedBytes).toBeLessThanOrEqual(WINDOW_BYTES);
  let received = 0;
  for await (const chunk of stream) {
    received += (chunk as Buffer).length;
    if (received > 5_000_000) break;
  }
  expect(received).toBeGreaterThan(5_000_000);
});

test("a target that does not answer refuses the stream before it is open", async () => {
  await startForwarder(async () => {
    throw new AppError("connection_lost", "no");
  });
  await expect(openForwarded()).rejects.toThrow("the target does not answer");
});

test("a reset at one end is a reset at the other, an end is an end", async () => {
  const targets: Duplex[] = [];
  await startForwarder(async () => {
    const target = makeEcho();
    targets.push(target);
    return target;
  });
  const cutStream = await openForwarded();
  targets[0]?.destroy();
  const [error] = (await once(cutStream, "error")) as [AppError];
  expect(error.code).toBe("connection_lost");

  const ended = await openForwarded();
  ended.end("last words");
  expect(await hashOf(ended)).toBe(createHash("sha256").update("last words").digest("hex"));
  await expect.poll(() => ended.closed).toBe(true);
  expect(ended.errored).toBeNull();
});

test("the forwarder keeps its connections and dials again when the hub comes back", async () => {
  const onLost = vi.fn();
  const onBound = vi.fn();
  const forwarder = await startForwarder(async () => makeEcho(), { onLost, onBound });
  await server[Symbol.asyncDispose]();
  await expect.poll(() => onLost.mock.calls.length).toBe(1);
  sessions = [];
  server = makeServer();
  await server.listen(port, "127.0.0.1");
  await expect.poll(() => onBound.mock.calls.length).toBe(2);
  expect(forwarder.boundConnections).toBe(1);
});

test("the forwarder waits longer and longer for a hub that takes it in and then drops it", async () => {
  const steady = holdBack(STEADY_AFTER_MS);
  const reset = vi.fn();
  const bound: (() => void)[] = [];
  const untilBound = () => new Promise<void>((resolve) => bound.push(resolve));
  let next = untilBound();
  await startForwarder(async () => makeEcho(), {
    newBackOff: () => ({ nextMs: () => 1, reset }),
    onBound: () => bound.shift()?.(),
    clock: steady.clock,
  });
  await next;
  for (let count = 0; count < 3; count += 1) {
    next = untilBound();
    sessions[0]?.cut();
    await next;
  }
  expect(reset).not.toHaveBeenCalled();
  steady.fire();
  expect(reset).toHaveBeenCalledTimes(1);
});

test("disposing the forwarder cuts its streams and connections at once", async () => {
  const target = makeEcho();
  const forwarder = await startForwarder(async () => target);
  await openForwarded();
  await forwarder[Symbol.asyncDispose]();
  await expect.poll(() => target.destroyed && sessions.length === 0).toBe(true);
});

test("a hub with another SSH host key is refused, with a message that says so", async () => {
  const login = { host: "127.0.0.1", port, hostKey: generateIdentity("").publicKey, username: "h-1", privateKey: user.privateKey };
  await expect(connectToHub(login, { signal: never, onRequest: () => {}, clock })).rejects.toMatchObject({ code: "identity_refused" });
});

test("a stranger's key is refused, and so are passwords", async () => {
  const stranger = { host: "127.0.0.1", port, hostKey: hostKey.publicKey, username: "h-1", privateKey: generateIdentity("").privateKey };
  await expect(connectToHub(stranger, { signal: never, onRequest: () => {}, clock })).rejects.toMatchObject({ code: "access_denied" });
  const client = new ssh2.Client();
  const refused = new Promise<Error>((resolve) => client.on("error", resolve));
  client.connect({ host: "127.0.0.1", port, username: "h-1", password: "guess" });
  expect(String(await refused)).toMatch(/authentication methods failed/);
});

test("one stream through the hub reaches the host, and its connection ends with it", async () => {
  await startForwarder(async () => makeEcho());
  const place = { host: "127.0.0.1", port, hostKey: hostKey.publicKey, username: "server", privateKey: user.privateKey };
  const origin = { destination: "instance", originAddress: "192.0.2.7", originPort: 1 };
  const stream = await openThroughHub({ ...place, ...origin, signal: never, clock });
  stream.end("there and back");
  expect(await hashOf(stream)).toBe(createHash("sha256").update("there and back").digest("hex"));
});

/** A way to the hub that carries nothing more once it is frozen. */
async function startFreezableWay() {
  const sockets: Socket[] = [];
  const way = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    for (const socket of [near, far]) {
      sockets.push(socket);
      socket.on("error", () => {});
    }
    near.pipe(far).pipe(near);
  });
  await once(way.listen(0, "127.0.0.1"), "listening");
  cleanUps.push(() => {
    for (const socket of sockets) socket.destroy();
    way.close();
  });
  return {
    port: (way.address() as AddressInfo).port,
    sockets,
    freeze: () => {
      for (const socket of sockets) socket.unpipe().pause();
    },
  };
}

test("a stream through a hub that has died without a word ends", async () => {
  await startForwarder(async () => makeEcho());
  const way = await startFreezableWay();
  const looks = holdBack(HOST_LIVENESS.intervalMs);
  const place = { host: "127.0.0.1", port: way.port, hostKey: hostKey.publicKey, username: "server", privateKey: user.privateKey };
  const origin = { destination: "instance", originAddress: "192.0.2.7", originPort: 1 };
  const stream = await openThroughHub({ ...place, ...origin, signal: never, clock: looks.clock });
  const ended = new Promise<void>((resolve) => stream.once("close", () => resolve()));
  way.freeze();
  for (let count = 0; count <= HOST_LIVENESS.misses; count += 1) looks.fire();
  await ended;
});

test("a hub that does not close the connection after its stream is not waited for", async () => {
  await startForwarder(async () => makeEcho());
  const way = await startFreezableWay();
  const grace = holdBack(CLOSE_GRACE_MS);
  const place = { host: "127.0.0.1", port: way.port, hostKey: hostKey.publicKey, username: "server", privateKey: user.privateKey };
  const origin = { destination: "instance", originAddress: "192.0.2.7", originPort: 1 };
  const stream = await openThroughHub({ ...place, ...origin, signal: never, clock: grace.clock });
  way.freeze();
  const armed = grace.untilArmed();
  stream.destroy();
  await armed;
  const [near] = way.sockets;
  if (near === undefined) throw new Error("no connection");
  const reset = new Promise<void>((resolve) => near.once("close", () => resolve()));
  grace.fire();
  near.resume();
  await reset;
});

/** A client of plain ssh2, whose forwarded channels are accepted and handed to `misuse`. */
async function startMisuser(
  misuse: (channel: ssh2.Channel, client: ssh2.Client) => void,
): Promise<{ socket: Socket; client: ssh2.Client }> {
  const socket = connect(port, "127.0.0.1");
  const client = new ssh2.Client();
  client.on("error", () => {});
  client.on("tcp connection", (_details, accept) => misuse(accept(), client));
  client.connect({ sock: socket, username: "h-1", privateKey: user.privateKey, strictVendor: false });
  await once(client, "ready");
  await new Promise<void>((resolve) => client.forwardIn("", FORWARD_PORT, () => resolve()));
  cleanUps.push(() => socket.destroy());
  return { socket, client };
}

test("a peer that overruns its window is cut off", async () => {
  const { socket } = await startMisuser((channel, client) => {
    const id = (channel as unknown as { outgoing: { id: number } }).outgoing.id;
    for (let sent = 0; sent <= WINDOW_BYTES; sent += 32_768) internalsOf(client)._protocol.channelData(id, Buffer.alloc(32_768));
  });
  const stream = await openForwarded();
  await expect.poll(() => stream.closed && socket.closed).toBe(true);
  expect(stream.bufferedBytes).toBe(0);
});

test("a peer that asks for replies and never reads them is cut off before they fill the memory", async () => {
  const { socket, client } = await startMisuser(() => {});
  socket.pause();
  // Each request for a session is refused with a sentence.
  const protocol = internalsOf(client)._protocol as unknown as { session(id: number, window: number, packetSize: number): void };
  const flood = setInterval(() => {
    for (let count = 0; count < 2000; count += 1) protocol.session(count, WINDOW_BYTES, 32_768);
  }, 1);
  await expect.poll(() => sessions.length, { timeout: 18_000 }).toBe(0);
  clearInterval(flood);
});

test("a peer that begins to exchange keys and never ends is cut off", async () => {
  await server[Symbol.asyncDispose]();
  const exchange = holdBack(KEY_EXCHANGE_TIMEOUT_MS);
  server = makeServer(exchange.clock);
  port = await server.listen(0, "127.0.0.1");
  const { socket } = await startMisuser(() => {});
  const session = sessions[0];
  exchange.waiting.clear(); // the limit of its login
  session?.channels.renewKeys();
  await once(socket, "data"); // which was answered
  await expect.poll(() => exchange.waiting.size).toBe(0);
  socket.pause();
  session?.channels.renewKeys();
  expect(exchange.waiting.size).toBe(1);
  exchange.fire();
  expect(session?.channels.isClosed).toBe(true);
});

test("a peer that asks for replies while keys are exchanged is cut off before they fill the memory", async () => {
  await server[Symbol.asyncDispose]();
  server = makeServer(holdBack(KEY_EXCHANGE_TIMEOUT_MS).clock);
  port = await server.listen(0, "127.0.0.1");
  const { socket, client } = await startMisuser(() => {});
  const { channels } = sessions[0] ?? {};
  socket.pause();
  channels?.renewKeys();
  const protocol = internalsOf(client)._protocol as unknown as { session(id: number, window: number, packetSize: number): void };
  for (let count = 0; count < 5000; count += 1) protocol.session(count, WINDOW_BYTES, 32_768);
  await expect.poll(() => channels?.isClosed).toBe(true);
});

test("a shell, a command and a forward to elsewhere are refused", async () => {
  const { client } = await startMisuser(() => {});
  await expect(new Promise((_, reject) => client.shell((error) => reject(error ?? new Error("opened"))))).rejects.toThrow(/nothing else/);
  await expect(new Promise((_, reject) => client.exec("id", (error) => reject(error ?? new Error("opened"))))).rejects.toThrow(
    /nothing else/,
  );
  const streamlocal = new Promise((_, reject) =>
    client.openssh_forwardInStreamLocal("/tmp/x", (error) => reject(error ?? new Error("bound"))),
  );
  await expect(streamlocal).rejects.toThrow(/Unable to bind/);
});
