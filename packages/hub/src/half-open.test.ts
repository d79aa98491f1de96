import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { DesiredEndpoint } from "@hardshare/protocol";
import { afterEach, beforeEach, expect, test } from "vitest";
import { echo, exchange, HubWorld } from "./testing/hub-world.fixture.ts";
import { MAX_PORT_VISITORS_PER_SOURCE } from "./visitors.ts";

const COUNT = process.env["HARDSHARE_LONG"] === undefined ? 1000 : 5000;

let world: HubWorld;
let desired: DesiredEndpoint;
beforeEach(async () => {
  world = await HubWorld.start();
  desired = await world.open();
  world.startHost(desired, await world.listen(echo));
  await world.reported("probed", desired);
});
afterEach(() => world[Symbol.asyncDispose]());

/** Connections that say nothing and never leave, from several addresses of this machine, as far as they are let in. */
async function crowd(port: number, count: number, addresses: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  for (let index = 0; index < count; index += 1) {
    const socket = connect({ port, host: "127.0.0.1", localAddress: `127.0.1.${1 + (index % addresses)}` });
    socket.on("error", () => {});
    sockets.push(socket);
    await new Promise((resolve) => socket.once("connect", resolve).once("close", resolve));
  }
  return sockets;
}

async function come(localAddress: string): Promise<Socket> {
  const socket = connect({ port: desired.publicPort ?? 0, host: "127.0.0.1", localAddress, allowHalfOpen: true });
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** The memory of this process that is in use, what the collector can free left out. */
function usedBytes(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

test("thousands who never log in at the SSH port keep nobody else out", async () => {
  const inside = await world.openAsServer(desired);
  const before = usedBytes();
  const few = await crowd(world.sshPort, COUNT, 1);
  const many = await crowd(world.sshPort, COUNT, 200);
  expect(few.filter((socket) => !socket.destroyed).length).toBeLessThanOrEqual(128);
  expect(usedBytes() - before).toBeLessThan(256 * 1024 * 1024);
  expect(await exchange(await world.openAsServer(desired), "new")).toBe("new");
  expect(await exchange(inside, "still here")).toBe("still here");
  for (const socket of [...few, ...many]) socket.destroy();
});

test("thousands who come to a public port and say nothing keep no other source out", async () => {
  const crowded = await crowd(desired.publicPort ?? 0, COUNT, 1);
  const held = crowded.filter((socket) => !socket.destroyed);
  expect(held.length).toBeLessThanOrEqual(MAX_PORT_VISITORS_PER_SOURCE);
  expect(await exchange(await come("127.0.0.2"), "from elsewhere")).toBe("from elsewhere");
  expect(await exchange(await world.openAsServer(desired), "logged in")).toBe("logged in");
  for (const socket of crowded) socket.destroy();
  await expect.poll(async () => exchange(await come("127.0.1.1"), "again")).toBe("again");
});

test("strangers who wait for a host that is away leave others a place to wait", async () => {
  const away = await world.open({ probe: "none" });
  const waiting = await crowd(away.publicPort ?? 0, 2 * MAX_PORT_VISITORS_PER_SOURCE, 1);
  const user = world.openAsServer(away, "192.0.2.9");
  const elsewhere = connect({ port: away.publicPort ?? 0, host: "127.0.0.1", localAddress: "127.0.0.2", allowHalfOpen: true });
  elsewhere.on("error", () => {});
  world.startHost(away, await world.listen(echo));
  expect(await exchange(elsewhere, "waited")).toBe("waited");
  expect(await exchange(await user, "waited too")).toBe("waited too");
  for (const socket of waiting) socket.destroy();
});
