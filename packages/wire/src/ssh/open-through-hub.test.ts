import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test } from "vitest";
import { HOST_LIVENESS } from "./liveness.ts";
import { CLOSE_GRACE_MS, openThroughHub } from "./open-through-hub.ts";
import { clock, holdBack, makeEcho, SshWorld } from "./testing/ssh-world.fixture.ts";

let world: SshWorld;
beforeEach(async () => {
  world = await SshWorld.start();
});
afterEach(() => world[Symbol.asyncDispose]());

/** A stream through the hub that is at a port. */
function open(port: number, streamClock = clock) {
  return openThroughHub({
    host: "127.0.0.1",
    port,
    hostKey: world.hostKey.publicKey,
    username: "server",
    privateKey: world.user.privateKey,
    destination: "instance",
    originAddress: "192.0.2.7",
    originPort: 1,
    signal: new AbortController().signal,
    clock: streamClock,
  });
}

test("one stream through the hub reaches the host, and its connection ends with it", async () => {
  await world.startForwarder(async () => makeEcho());
  const stream = await open(world.port);
  stream.end("there and back");
  expect(await text(stream)).toBe("there and back");
});

/** A way to the hub that carries nothing more once it is frozen. */
async function startFreezableWay() {
  const sockets: Socket[] = [];
  const way = createServer((near) => {
    const far = connect(world.port, "127.0.0.1");
    for (const socket of [near, far]) {
      sockets.push(socket);
      socket.on("error", () => {});
    }
    near.pipe(far).pipe(near);
  });
  await once(way.listen(0, "127.0.0.1"), "listening");
  world.atEnd(() => {
    for (const socket of sockets) socket.destroy();
    way.close();
  });
  return {
    port: (way.address() as AddressInfo).port,
    freeze: () => {
      for (const socket of sockets) socket.unpipe().pause();
    },
  };
}

test("a stream through a hub that has died without a word ends", async () => {
  await world.startForwarder(async () => makeEcho());
  const way = await startFreezableWay();
  const looks = holdBack(HOST_LIVENESS.intervalMs);
  const stream = await open(way.port, looks.clock);
  const ended = new Promise<void>((resolve) => stream.once("close", () => resolve()));
  way.freeze();
  for (let count = 0; count <= HOST_LIVENESS.misses; count += 1) looks.fire();
  await ended;
});

test("a hub that does not close the connection after its stream is not waited for", async () => {
  await world.startForwarder(async () => makeEcho());
  const way = await startFreezableWay();
  const grace = holdBack(CLOSE_GRACE_MS);
  const connecting = new Promise<Socket>((resolve) => {
    subscribe("net.client.socket", function onSocket(message) {
      unsubscribe("net.client.socket", onSocket);
      resolve((message as { socket: Socket }).socket);
    });
  });
  const stream = await open(way.port, grace.clock);
  const connection = await connecting;
  way.freeze();
  const armed = grace.untilArmed();
  stream.destroy();
  await armed;
  expect(connection.destroyed).toBe(false);
  grace.fire();
  expect(connection.destroyed).toBe(true);
});
