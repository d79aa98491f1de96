import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { Duplex } from "node:stream";
import { AppError } from "@hardshare/protocol";
import ssh2 from "ssh2";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { STEADY_AFTER_MS } from "../channel/connect-channel.ts";
import type { BoundedChannel } from "./bounded-channel.ts";
import { connectToHub } from "./client-connection.ts";
import { generateIdentity } from "./identity.ts";
import { MAX_CHANNELS, WINDOW_BYTES } from "./limits.ts";
import { clock, holdBack, makeEcho, SshWorld } from "./testing/ssh-world.fixture.ts";

const never = new AbortController().signal;

let world: SshWorld;
beforeEach(async () => {
  world = await SshWorld.start();
});
afterEach(() => world[Symbol.asyncDispose]());

/** A stream that takes nothing and sends nothing. */
function makeStalled(): Duplex {
  return new Duplex({ read() {}, write() {} });
}

function makeEndless(): Duplex {
  return new Duplex({
    read() {
      this.push(Buffer.alloc(65_536));
    },
    write: (_chunk, _encoding, done) => done(),
  });
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

test("a stream carries bytes both ways unchanged, also while keys are exchanged anew", async () => {
  await world.startForwarder(async () => makeEcho());
  const stream = await world.openForwarded();
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
    world.sessions[0]?.channels.renewKeys();
  }
  expect(hash.digest("hex")).toBe(createHash("sha256").update(bytes).digest("hex"));
  await expect.poll(() => world.sessions[0]?.channels.size).toBe(0);
});

test("towards a stalled reader at most 256 kB are taken, and another stream of the same connection flows", async () => {
  const dials = [makeStalled, makeEcho];
  await world.startForwarder(async () => dials.shift()?.() ?? makeEcho());
  const stalled = await world.openForwarded();
  const taken = await fill(stalled);
  expect(world.sessions[0]?.channels.isStalled).toBe(true);
  const bytes = randomBytes(2_000_000);
  const flowing = await world.openForwarded();
  const answer = hashOf(flowing);
  flowing.end(bytes);
  expect(await answer).toBe(createHash("sha256").update(bytes).digest("hex"));
  expect(taken()).toBeGreaterThanOrEqual(128 * 1024);
  expect(taken()).toBeLessThanOrEqual(256 * 1024);
  expect(stalled.bufferedBytes).toBeLessThanOrEqual(64 * 1024 + 1);
});

test("what comes from a sender that never waits is bounded by the window until the reader reads", async () => {
  await world.startForwarder(async () => makeEndless());
  const stream = await world.openForwarded();
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
  await world.startForwarder(async () => {
    throw new AppError("connection_lost", "no");
  });
  await expect(world.openForwarded()).rejects.toThrow("the target does not answer");
});

test("a reset at one end is a reset at the other, an end is an end", async () => {
  const targets: Duplex[] = [];
  await world.startForwarder(async () => {
    const target = makeEcho();
    targets.push(target);
    return target;
  });
  const cutStream = await world.openForwarded();
  targets[0]?.destroy();
  const [error] = (await once(cutStream, "error")) as [AppError];
  expect(error.code).toBe("connection_lost");

  const ended = await world.openForwarded();
  ended.end("last words");
  expect(await hashOf(ended)).toBe(createHash("sha256").update("last words").digest("hex"));
  await expect.poll(() => ended.closed).toBe(true);
  expect(ended.errored).toBeNull();
});

test("the forwarder connects before it may forward, and is asked for nothing until then", async () => {
  const may = new AbortController();
  const mayForward = once(may.signal, "abort").then(() => {});
  const starting = world.startForwarder(async () => makeEcho(), { mayForward });
  await expect.poll(() => world.logInCount).toBe(1);
  expect(world.sessions).toEqual([]);
  may.abort();
  expect((await starting).boundConnections).toBe(1);
  expect(world.logInCount).toBe(1);
});

test("the forwarder keeps its connections and dials again when the hub comes back", async () => {
  const onLost = vi.fn();
  const onBound = vi.fn();
  const forwarder = await world.startForwarder(async () => makeEcho(), { onLost, onBound });
  await world.stopServer();
  await expect.poll(() => onLost.mock.calls.length).toBe(1);
  await world.startServer();
  await expect.poll(() => onBound.mock.calls.length).toBe(2);
  expect(forwarder.boundConnections).toBe(1);
});

test("the forwarder waits longer and longer for a hub that takes it in and then drops it", async () => {
  const steady = holdBack(STEADY_AFTER_MS);
  const reset = vi.fn();
  const bound: (() => void)[] = [];
  const untilBound = () => new Promise<void>((resolve) => bound.push(resolve));
  let next = untilBound();
  await world.startForwarder(async () => makeEcho(), {
    newBackOff: () => ({ nextMs: () => 1, reset }),
    onBound: () => bound.shift()?.(),
    clock: steady.clock,
  });
  await next;
  for (let count = 0; count < 3; count += 1) {
    next = untilBound();
    world.sessions[0]?.cut();
    await next;
  }
  expect(reset).not.toHaveBeenCalled();
  steady.fire();
  expect(reset).toHaveBeenCalledTimes(1);
});

test("disposing the forwarder cuts its streams and connections at once", async () => {
  const target = makeEcho();
  const forwarder = await world.startForwarder(async () => target);
  await world.openForwarded();
  await forwarder[Symbol.asyncDispose]();
  await expect.poll(() => target.destroyed && world.sessions.length === 0).toBe(true);
});

test("a hub with another SSH host key is refused, with a message that says so", async () => {
  const login = {
    host: "127.0.0.1",
    port: world.port,
    hostKey: generateIdentity("").publicKey,
    username: "h-1",
    privateKey: world.user.privateKey,
  };
  await expect(connectToHub(login, { signal: never, onRequest: () => {}, clock })).rejects.toMatchObject({ code: "identity_refused" });
});

test("a stranger's key is refused, and so are passwords", async () => {
  const stranger = {
    host: "127.0.0.1",
    port: world.port,
    hostKey: world.hostKey.publicKey,
    username: "h-1",
    privateKey: generateIdentity("").privateKey,
  };
  await expect(connectToHub(stranger, { signal: never, onRequest: () => {}, clock })).rejects.toMatchObject({ code: "access_denied" });
  const client = new ssh2.Client();
  const refused = new Promise<Error>((resolve) => client.on("error", resolve));
  client.connect({ host: "127.0.0.1", port: world.port, username: "h-1", password: "guess" });
  expect(String(await refused)).toMatch(/authentication methods failed/);
});

test("streams that a host does not answer take places of its own connection until it does, also when nobody wants them any more", async () => {
  const answers: ((stream: Duplex) => void)[] = [];
  const dialled = () => new Promise<Duplex>((resolve) => answers.push(resolve));
  await world.startForwarder(dialled);
  const channels = world.sessions[0]?.channels;
  const target = { host: "", port: 2210, originAddress: "192.0.2.1", originPort: 1 };
  const users = Array.from({ length: MAX_CHANNELS }, () => new AbortController());
  const refused = Promise.allSettled(users.map(({ signal }) => channels?.open(target, signal)));
  for (const user of users) user.abort(); // all have left
  expect((await refused).every(({ status }) => status === "rejected")).toBe(true);
  expect(channels?.isFull).toBe(true);
  await expect(channels?.open(target, never)).rejects.toThrow(/all 128 streams/);
  await expect.poll(() => answers.length).toBe(MAX_CHANNELS);
  for (const answer of answers) answer(makeEcho());
  await expect.poll(() => channels?.size).toBe(0);
});
