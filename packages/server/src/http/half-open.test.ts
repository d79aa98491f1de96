import { once } from "node:events";
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

test("behind a proxy, too, the addresses of one customer are one source: they keep no host out, and share their requests", async () => {
  const behind = await TestWorld.start(ground, { trustedProxies: ["127.0.0.1"], rateLimits: { anonymousPerHour: 2 } });
  try {
    const upgrade = (from: string) => `GET /channel/host HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: ${from}\r\n${UPGRADE}`;
    const open = async (from: string) => {
      const socket = connect({ port: behind.server.port, host: "127.0.0.1" });
      socket.on("error", () => {}).write(upgrade(from));
      const [answer] = (await once(socket, "data")) as [Buffer];
      return { socket, status: Number(answer.toString("latin1").split(" ")[1]) };
    };
    const held = [];
    for (let index = 0; index < 256; index += 1) held.push(await open(`2001:db8:0:1::${index.toString(16)}`));
    expect(new Set(held.map(({ status }) => status))).toEqual(new Set([101]));
    const [excess, other] = [await open("2001:db8:0:1:ffff::1"), await open("2001:db8:0:2::1")];
    expect([excess.status, other.status]).toEqual([503, 101]);
    for (const { socket } of [...held, excess, other]) socket.destroy();
    const ask = async (from: string) => (await fetch(behind.url, { headers: { "x-forwarded-for": from } })).status;
    expect(await Promise.all(["2001:db8:0:3::1", "2001:db8:0:3::2"].map(ask))).toEqual([200, 200]);
    expect([await ask("2001:db8:0:3::3"), await ask("2001:db8:0:4::1")]).toEqual([403, 200]);
  } finally {
    await behind[Symbol.asyncDispose]();
  }
});
