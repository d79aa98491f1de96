import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestGround, type TestGround, TestWorld } from "../testing/test-world.fixture.ts";
import { MAX_STRANGERS } from "./strangers.ts";

const COUNT = process.env["HARDSHARE_LONG"] === undefined ? 500 : 5000;
const UPGRADE =
  "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

let ground: TestGround;
let world: TestWorld;
beforeAll(async () => {
  ground = await startTestGround();
  world = await TestWorld.start(ground);
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
});

/** Connections from one address that say this and then nothing more, nor leave. @returns those that are still there */
async function crowd(text: string): Promise<Socket[]> {
  const sockets: Socket[] = [];
  for (let index = 0; index < COUNT; index += 1) {
    const socket = connect({ port: world.server.port, host: "127.0.0.1", localAddress: "127.0.1.1" });
    socket.on("error", () => {}).resume();
    sockets.push(socket);
    await new Promise((resolve) => socket.once("connect", resolve).once("close", resolve));
    socket.write(text);
  }
  return sockets.filter((socket) => !socket.destroyed);
}

test.each([
  ["that say nothing", ""],
  ["with a request whose head never ends", "GET / HTTP/1.1\r\nX: "],
  ["with a request whose body never ends", "POST /new HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"],
  ["of hosts that never say hello", `GET /channel/host HTTP/1.1\r\nHost: a\r\n${UPGRADE}`],
  ["that got an answer and stay", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"],
])("thousands of connections %s keep nobody else out", async (_kind, text) => {
  const held = await crowd(text);
  const admin = await world.admin();
  expect((await admin.call("GET", "/whoami")).status).toBe(200);
  await world.addHost(admin);
  expect(held.filter((socket) => !socket.destroyed).length).toBeLessThanOrEqual(MAX_STRANGERS.perSource);
  const left = Promise.all(held.map((socket) => new Promise((resolve) => (socket.closed ? resolve(true) : socket.once("close", resolve)))));
  for (const socket of held) socket.destroy();
  await left;
});
