import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { AppError } from "@hardshare/protocol";
import { silentLogger, systemRandom } from "@hardshare/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import { WebSocket } from "ws";
import { serveUpgrades } from "./upgrades.ts";

let sockets: WebSocket[];
let port: number;
let end: () => Promise<void>;
beforeEach(async () => {
  sockets = [];
  const server = createServer();
  const routes = [
    {
      path: /^\/open$/,
      maxMessageBytes: 1024,
      prepare: async () => (socket: WebSocket) => void sockets.push(socket.on("error", () => {})),
    },
    { path: /^\/slow$/, maxMessageBytes: 1024, prepare: () => new Promise<never>(() => {}) },
    { path: /^\/closed$/, maxMessageBytes: 1024, prepare: () => Promise.reject(new AppError("busy", "not now")) },
  ];
  const upgrades = serveUpgrades(server, routes, { logger: silentLogger, random: systemRandom });
  upgrades.open();
  await once(server.listen(0, "127.0.0.1"), "listening");
  ({ port } = server.address() as AddressInfo);
  end = async () => {
    await upgrades[Symbol.asyncDispose]();
    server.closeAllConnections();
    server.close();
  };
});
afterEach(() => end());

/** Asks for an upgrade. @returns the connection, from which nothing is read yet */
async function ask(path: string): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => {});
  socket.write(upgradeTo(path));
  await once(socket, "readable");
  return socket;
}

function upgradeTo(path: string): string {
  const headers =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
  return `GET ${path} HTTP/1.1\r\nHost: server\r\n${headers}\r\n`;
}

test("who asks for signs of life and never reads them does not fill the memory", async () => {
  const socket = await ask("/open");
  const server = sockets[0];
  const ping = Buffer.concat([Buffer.from([0x89, 0x80 | 125, 0, 0, 0, 0]), Buffer.alloc(125)]); // masked with zeros
  const flood = Buffer.concat(Array<Buffer>(8000).fill(ping)); // 1 MB
  let heard = 0;
  const allHeard = new Promise<void>((resolve) => server?.on("ping", () => (heard += 1) === 160_000 && resolve()));
  for (let count = 0; count < 20; count += 1) socket.write(flood);
  await allHeard;
  expect(server?.bufferedAmount).toBeLessThan(128 * 1024);
  socket.destroy();
});

test("a ping is answered with what it says", async () => {
  const client = new WebSocket(`ws://127.0.0.1:${port}/open`);
  await once(client, "open");
  client.ping("there?");
  expect(String((await once(client, "pong"))[0])).toBe("there?");
  client.terminate();
});

test("requests that take long keep those of other routes not waiting, and one too many is cut", async () => {
  const slow = Array.from({ length: 1000 }, () => connect({ port, host: "127.0.0.1" }).on("error", () => {}));
  for (const socket of slow) {
    if (socket.connecting) await once(socket, "connect");
    socket.write(upgradeTo("/slow"));
  }
  const client = new WebSocket(`ws://127.0.0.1:${port}/open`);
  await once(client, "open");
  client.terminate();
  const excess = connect({ port, host: "127.0.0.1" }).resume();
  excess.write(upgradeTo("/slow"));
  await once(excess, "close");
  for (const socket of slow) socket.destroy();
});

test("who was refused can't keep the connection", async () => {
  const socket = await ask("/closed");
  expect(String(socket.read())).toMatch(/^HTTP\/1\.1 503 /);
  socket.resume();
  await once(socket, "end");
  // Ours is closed, though the client never closes its half: what it still writes meets a reset.
  const isReset = new Promise((resolve) => socket.once("close", resolve));
  const timer = setInterval(() => socket.write("x"), 1);
  await isReset;
  clearInterval(timer);
});
