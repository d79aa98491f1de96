/** What each kind of filter does with what it had read when its connections are cut: nothing of it passes any more. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { readFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { Deferred } from "@hardshare/runtime";
import { ResetWatch } from "@hardshare/runtime/sockets";
import { expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import type { ConnectPacket, Packet } from "./mqtt/packets.ts";
import { writePacket } from "./mqtt/write-packet.ts";
import type { Judgement } from "./run/filter-kind.ts";
import { startFilter, startWorld } from "./testing/filter-world.ts";
import { startFilterBefore } from "./testing/mqtt-filter.ts";
import { RawClient } from "./testing/raw-client.ts";
import { RosbridgeWorld } from "./testing/rosbridge-world.ts";
import { RpcWorld } from "./testing/rpc-world.ts";
import { SerialWorld } from "./testing/serial-world.ts";
import { TcpWorld } from "./testing/tcp-world.ts";

/** Much more than all buffers on the way take. */
const FLOOD_BYTES = 48 * 1024 * 1024;
const LINE = Buffer.from(`${"x".repeat(4000)}\n`);
/** Settles when it is closed, however that came. */
const gone = (socket: Socket) => new Promise<void>((resolve) => socket.on("error", () => {}).once("close", () => resolve()));
/** Lets the filter, which runs in this process, hear what its sockets have for it. */
async function turns(): Promise<void> {
  for (let count = 0; count < 100; count += 1) await new Promise((resolve) => setImmediate(resolve));
}
/** More than the kernel keeps of what a reader has not yet asked for, less than writers have waiting. */
const WAITING_BYTES = 1024 ** 2;
const flood = (socket: Socket, message: Buffer) => {
  for (let sent = 0; sent < FLOOD_BYTES; sent += message.length) socket.write(message);
};

test("http: requests that wait for those before them are dropped with them", async () => {
  const first = new Deferred<() => void>();
  const asked: string[] = [];
  await using world = await startWorld("default: allow", (request, response) => {
    asked.push(request.url ?? "");
    if (request.url === "/1") first.resolve(() => response.end("late"));
    else response.end("soon");
  });
  const client = new RawClient(world.filter.address);
  await client.send([1, 2, 3, 4].map((number) => `GET /${number} HTTP/1.1\r\nHost: robot\r\n\r\n`).join(""));
  const answer = await first.promise;
  await world.filter.cutAll();
  answer();
  expect(await client.ended).toBe("");
  expect(await (await fetch(`http://${world.filter.address}/new`)).text()).toBe("soon");
  expect(asked).toEqual(["/1", "/new"]);
  expect(world.decisions.map(({ summary }) => summary)).toEqual(["GET /1", "GET /new"]);
});

test.each(["all are cut", "the client is reset"])(
  "http: what the device has not yet taken of a WebSocket is dropped when %s",
  async (how) => {
    const accepted = new Deferred<WebSocket>();
    await using world = await startWorld("default: allow\nrules: [{ allow: WS /drive }]");
    const sockets = new WebSocketServer({ server: world.device.server });
    sockets.once("connection", (socket) => accepted.resolve(socket));
    const client = new WebSocket(`ws://${world.filter.address}/drive`).on("error", () => {});
    const stream = once(client, "upgrade").then(([answer]) => (answer as IncomingMessage).socket);
    await once(client, "open");
    const device = await accepted.promise;
    let bytes = 0;
    device.on("message", (data: Buffer) => (bytes += data.length)).pause();
    for (let sent = 0; sent < 2.5 * WAITING_BYTES; sent += LINE.length) client.send(LINE);
    await expect.poll(() => world.decisions.length * LINE.length).toBeGreaterThan(2 * WAITING_BYTES);
    const closed = once(device, "close");
    const left = once(client, "close");
    if (how === "all are cut") await world.filter.cutAll();
    else (await stream).resetAndDestroy();
    await left;
    await turns();
    device.resume();
    await closed;
    expect(bytes).toBeLessThan(WAITING_BYTES);
  },
);

test.each(["all are cut", "the client is reset"])("http: what the device has not yet taken of a body is dropped when %s", async (how) => {
  const asked = new Deferred<Socket>();
  const device = createServer((socket) => void socket.once("readable", () => asked.resolve(socket))).listen(0, "127.0.0.1"); // reads no more
  await once(device, "listening");
  await using filtered = await startFilter({ host: "127.0.0.1", port: (device.address() as AddressInfo).port });
  const client = new RawClient(filtered.filter.address);
  await client.send(`POST /file HTTP/1.1\r\nHost: robot\r\nContent-Length: ${FLOOD_BYTES}\r\n\r\n`);
  const socket = await asked.promise;
  await client.send(LINE.toString().repeat((2.5 * WAITING_BYTES) / LINE.length));
  await turns();
  if (how === "all are cut") await filtered.filter.cutAll();
  else client.socket.resetAndDestroy();
  await client.ended;
  await turns();
  const closed = gone(socket);
  socket.resume();
  await closed;
  device.close();
  expect(socket.bytesRead).toBeLessThan(WAITING_BYTES);
});

test("serial: lines that wait for the device are dropped, those in the kernel too", async () => {
  await using world = await SerialWorld.start("{ messages: { limit: 4096 }, default: allow }");
  world.device.stall(true);
  const client = world.connect();
  flood(client.socket, LINE);
  await expect.poll(() => world.decisions.length).toBeGreaterThan(1);
  await world.cutAll();
  const judged = world.decisions.length;
  world.device.stall(false);
  await client.ended;
  await world.connect().send("M114\n");
  const received = await world.device.receive("M114\n");
  expect(world.decisions).toHaveLength(judged + 1);
  expect(received.length).toBeLessThan(judged * LINE.length); // what the device had not yet taken of them is gone
});

test("tcp: both ends are cut, and what waits for the device is dropped", async () => {
  const accepted = new Deferred<Socket>();
  let bytes = 0;
  await using world = await TcpWorld.start("default: allow", {
    serve: (socket) => void socket.once("readable", () => accepted.resolve(socket)), // and reads nothing more
  });
  const client = world.connect();
  flood(client.socket, LINE);
  const device = await accepted.promise;
  await world.cutAll();
  const closed = gone(device);
  device.on("data", (chunk: Buffer) => (bytes += chunk.length)).resume();
  await Promise.all([closed, client.ended]);
  expect(bytes).toBeLessThan(FLOOD_BYTES);
  const other = world.connect();
  await other.send("hello");
  await world.decided(() => world.decisions.length === 2);
  other[Symbol.dispose]();
});

test("tcp: a client that is reset while nothing is read from it is heard of, and its device cut", async () => {
  const accepted = new Deferred<Socket>();
  await using world = await TcpWorld.start("default: allow", {
    serve: (socket) => void socket.once("readable", () => accepted.resolve(socket)), // and reads nothing more
  });
  const client = world.connect();
  flood(client.socket, LINE);
  const device = await accepted.promise;
  await turns();
  client.socket.resetAndDestroy();
  const watch = new ResetWatch();
  const closed = gone(device);
  watch.add(device.pause()); // which hears nothing of it else either
  await closed;
  watch[Symbol.dispose]();
});

test.each(["all are cut", "the client is reset"])("rosbridge: what waits for the device is dropped when %s", async (how) => {
  await using world = await RosbridgeWorld.start("default: allow");
  const { client, device } = await world.connect();
  let bytes = 0;
  device.socket.on("message", (data: Buffer) => (bytes += data.length)).pause();
  const message = JSON.stringify({ op: "publish", topic: "/drive", msg: { data: "x".repeat(10_000) } });
  const flooded = how === "all are cut" ? FLOOD_BYTES : 2.5 * WAITING_BYTES; // the filter still reads
  for (let sent = 0; sent < flooded; sent += message.length) client.send(message);
  await expect.poll(() => world.decisions.length * message.length).toBeGreaterThan(2 * WAITING_BYTES);
  if (how === "all are cut") await world.cutAll();
  else (await client.stream).resetAndDestroy();
  await client.closed;
  await turns();
  const judged = world.decisions.length;
  device.socket.resume();
  await device.closed;
  expect(world.decisions).toHaveLength(judged);
  expect(bytes).toBeLessThan(WAITING_BYTES);
  const again = await world.connect();
  again.client.send({ op: "publish", topic: "/drive", msg: { data: "new" } });
  expect(await again.device.next()).toMatchObject({ msg: { data: "new" } });
});

test("mqtt: what waits for the broker is not judged any more, and there is no will", async () => {
  const connect_: ConnectPacket = {
    cmd: "connect",
    version: 4,
    cleanStart: true,
    keepAliveSeconds: 0,
    properties: {},
    clientId: "",
    username: undefined,
    password: undefined,
    will: { topic: "gone", payload: Buffer.from("x"), qos: 0, retain: false, properties: {} },
  };
  const publish = writePacket(
    { cmd: "publish", topic: "drive", payload: Buffer.alloc(100_000), qos: 0, retain: false, dup: false, id: 0, properties: {} },
    4,
  );
  const connack: Packet = { cmd: "connack", sessionPresent: false, code: 0, properties: {} };
  const dialled = new Deferred<Socket>();
  const broker = createServer((link) => {
    link
      .on("error", () => {})
      .once("data", () => {
        link.pause().write(writePacket(connack, 4));
        dialled.resolve(link);
      });
  }).listen(0, "127.0.0.1");
  await once(broker, "listening");
  const decisions: Judgement[] = [];
  await using filter = await startFilterBefore(broker, { onDecision: (judgement) => void decisions.push(judgement) });
  const client = connect(Number(filter.address.split(":").at(-1)), "127.0.0.1").on("error", () => {});
  const closed = gone(client.resume());
  client.write(writePacket(connect_, 4));
  flood(client, publish);
  const link = await dialled.promise;
  await expect.poll(() => decisions.length).toBeGreaterThan(2);
  await filter.cutAll();
  const judged = decisions.length;
  let taken = Buffer.alloc(0);
  link.on("data", (bytes: Buffer) => (taken = Buffer.concat([taken, bytes]).subarray(-1000))).resume();
  await Promise.all([gone(link), closed]);
  broker.close();
  expect(decisions).toHaveLength(judged);
  expect(taken.includes("gone")).toBe(false);
});

test("rpc: a procedure is killed before the cut is told, although it does not want to end", async () => {
  const rules = `rules:
  - allow: POST /move
    run: [./move]
`;
  const move = 'trap "" TERM; echo $$ > begun; while :; do sleep 1; done';
  await using world = await RpcWorld.start(rules, { programs: { move: `cd "\${0%/*}"; ${move}` } });
  execFileSync("mkfifo", [`${world.folder}/begun`]);
  const refused = world.call("POST", "/move").then(
    () => "answered",
    () => "cut",
  );
  const pid = Number(await readFile(`${world.folder}/begun`, "utf8"));
  await world.cutAll();
  expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  expect(await refused).toBe("cut");
  const none = await world.call("POST", "/none");
  expect(none.status).toBe(403);
});
