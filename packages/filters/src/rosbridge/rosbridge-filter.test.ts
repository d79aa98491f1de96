import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, expect, test } from "vitest";
import { WebSocket } from "ws";
import { RosbridgeWorld } from "../testing/rosbridge-world.ts";
import { INPUT_LIMIT_BYTES } from "./input-judge.ts";

const RULES = `
rules:
  - { allow: subscribe /scan }
  - { allow: call_service /where }
  - { allow: send_action_goal /dock }
`;

let world: RosbridgeWorld;
afterEach(() => world[Symbol.asyncDispose]());

test("what passes is written anew, and what is refused is told to its sender alone", async () => {
  world = await RosbridgeWorld.start(RULES);
  const { client, device } = await world.connect();
  client.send(' { "topic" : "/scan", "op":"subscribe" , "compression": "png" } ');
  expect(await device.next()).toEqual({ op: "subscribe", topic: "/scan" });
  client.send({ op: "publish", topic: "/cmd_vel", msg: {}, id: "p1" });
  expect(await client.next()).toMatchObject({ op: "status", level: "error", id: "p1", rule: "default", because: expect.any(String) });
  client.send({ op: "call_service", service: "/reset", id: 7 });
  expect(await client.next()).toMatchObject({ op: "status", id: 7 });
  expect(await client.next()).toMatchObject({
    op: "service_response",
    service: "/reset",
    id: 7,
    result: false,
    values: expect.stringContaining("refused by filter"),
  });
  client.send({ op: "send_action_goal", action: "/fly", action_type: "a/B", id: "g" });
  await client.next();
  expect(await client.next()).toMatchObject({ op: "action_result", action: "/fly", id: "g", result: false });
  client.send({ op: "call_service", service: "/where" });
  expect(await device.next()).toEqual({ op: "call_service", service: "/where", args: {} });
});

test("bytes are refused, whatever they hold", async () => {
  world = await RosbridgeWorld.start("default: allow");
  const { client, device } = await world.connect();
  client.send(Buffer.from('{"op":"subscribe","topic":"/scan"}'));
  expect(await client.next()).toMatchObject({ rule: "strict", because: expect.stringContaining("bytes are not passed on") });
  client.send({ op: "subscribe", topic: "/odom" });
  expect(await device.next()).toMatchObject({ topic: "/odom" });
});

test("fragments of one client are never joined with those of another", async () => {
  world = await RosbridgeWorld.start("default: allow");
  const [first, second] = [await world.connect(), await world.connect()];
  first.client.send({ op: "fragment", id: "a", num: 0, total: 2, data: '{"op":"subscribe",' });
  second.client.send({ op: "fragment", id: "a", num: 1, total: 2, data: '"topic":"/scan"}' });
  second.client.send({ op: "subscribe", topic: "/odom" });
  expect(await second.device.next()).toMatchObject({ topic: "/odom" });
  first.client.send({ op: "fragment", id: "a", num: 1, total: 2, data: '"topic":"/tf"}' });
  expect(await first.device.next()).toMatchObject({ op: "subscribe", topic: "/tf" });
});

test("each client has its own goals, whatever ids they have, and gets answers for those alone", async () => {
  world = await RosbridgeWorld.start(RULES);
  const [first, second] = [await world.connect(), await world.connect()];
  const goal = { op: "send_action_goal", action: "/dock", action_type: "dock/Dock", id: "g" };
  first.client.send(goal);
  second.client.send(goal);
  const [a, b] = [await first.device.next(), await second.device.next()];
  expect(a["id"]).not.toBe(b["id"]);
  second.device.send({ op: "action_result", action: "/dock", id: a["id"], values: {}, status: 4, result: true });
  second.device.send({ op: "action_result", action: "/dock", id: b["id"], values: {}, status: 4, result: true });
  expect(await second.client.next()).toMatchObject({ op: "action_result", id: "g" });
  expect(world.decisions.filter(({ direction }) => direction === "out").map(({ decision }) => decision)).toEqual(["block", "allow"]);
});

test("a message of the device in fragments, which it sends by its own settings, is joined and judged", async () => {
  world = await RosbridgeWorld.start(`rules: [{ allow: subscribe /scan, remove: [secret] }]`);
  const { client, device } = await world.connect();
  client.send({ op: "subscribe", topic: "/scan" });
  await device.next();
  device.send({ op: "fragment", id: "0", num: 0, total: 2, data: '{"op":"publish","topic":"/scan","msg":' });
  device.send({ op: "fragment", id: "0", num: 1, total: 2, data: '{"secret":1,"x":2}}' });
  expect(await client.next()).toEqual({ op: "publish", topic: "/scan", msg: { x: 2 } });
});

test("rules that are read again hold for the next message, also of a topic that is subscribed already", async () => {
  world = await RosbridgeWorld.start(RULES);
  const { client, device } = await world.connect();
  client.send({ op: "subscribe", topic: "/scan" });
  await device.next();
  world.reload("rules: [{ allow: subscribe /odom }]");
  device.send({ op: "publish", topic: "/scan", msg: { x: 1 } });
  client.send({ op: "subscribe", topic: "/odom" });
  await device.next();
  device.send({ op: "publish", topic: "/odom", msg: {} });
  expect(await client.next()).toMatchObject({ topic: "/odom" });
  client.send({ op: "unsubscribe", topic: "/scan" });
  expect(await device.next()).toEqual({ op: "unsubscribe", topic: "/scan" });
});

test("a goal can be cancelled by who sent it when the rules know it no longer, unless one blocks that", async () => {
  world = await RosbridgeWorld.start(RULES);
  const { client, device } = await world.connect();
  client.send({ op: "send_action_goal", action: "/dock", action_type: "dock/Dock", id: "g" });
  const { id } = await device.next();
  world.reload("rules: [{ block: cancel_action_goal /dock }]");
  client.send({ op: "cancel_action_goal", action: "/dock", id: "g" });
  expect(await client.next()).toMatchObject({ op: "status", rule: "cancel_action_goal /dock" });
  world.reload("rules: [{ allow: subscribe /odom }]");
  client.send({ op: "cancel_action_goal", action: "/dock", id: "of another" });
  expect(await client.next()).toMatchObject({ op: "status", rule: "default" });
  client.send({ op: "cancel_action_goal", action: "/dock", id: "g" });
  expect(await device.next()).toEqual({ op: "cancel_action_goal", action: "/dock", id });
});

test("what acts is a sign of the user, and what programs do by themselves when they connect again is none", async () => {
  world = await RosbridgeWorld.start("default: allow");
  const { client, device } = await world.connect();
  client.send({ op: "subscribe", topic: "/a" });
  client.send({ op: "advertise", topic: "/b", type: "std_msgs/Empty" });
  client.send({ op: "status", level: "error", msg: "" });
  client.send({ op: "publish", topic: "/b", msg: {} });
  client.send({ op: "call_service", service: "/c" });
  for (let count = 0; count < 4; count += 1) await device.next();
  expect(world.decisions.map(({ isSign }) => isSign)).toEqual([false, false, false, true, true]);
});

test("a message that is too large ends the connection, on both sides", async () => {
  world = await RosbridgeWorld.start("default: allow");
  const { client, device } = await world.connect();
  client.send({ op: "publish", topic: "/a", msg: { data: "x".repeat(INPUT_LIMIT_BYTES) } });
  expect(await client.closed).toBe(1009);
  await device.closed;
  expect(world.decisions).toMatchObject([{ decision: "block", rule: "strict" }]);
});

test("when one side leaves, the other is closed", async () => {
  world = await RosbridgeWorld.start("default: allow");
  const first = await world.connect();
  first.client.socket.terminate();
  await first.device.closed;
  const second = await world.connect();
  second.device.socket.close(1001);
  expect(await second.client.closed).toBe(1001);
});

test("a client that closes in order is told to the robot so, after all that it sent", async () => {
  world = await RosbridgeWorld.start("default: allow");
  const { client, device } = await world.connect();
  client.send({ op: "publish", topic: "/cmd_vel", msg: {} });
  client.socket.close(1000);
  expect(await device.next()).toMatchObject({ topic: "/cmd_vel" });
  expect(await device.closed).toBe(1000);
});

test("a text does not carry bytes past the range of an array", async () => {
  world = await RosbridgeWorld.start("rules: [{ allow: publish /servos, clamp: { /data/*: [0, 90] } }]");
  const { client, device } = await world.connect();
  client.send({ op: "publish", topic: "/servos", msg: { data: Buffer.from([255]).toString("base64") } });
  expect(await client.next()).toMatchObject({ op: "status", because: expect.stringContaining("/data/*") });
  client.send({ op: "publish", topic: "/servos", msg: { data: [255] } });
  expect(await device.next()).toMatchObject({ msg: { data: [90] } });
});

test("a robot that is away is told as 502, and what is no WebSocket as 426", async () => {
  world = await RosbridgeWorld.start("default: allow");
  expect((await fetch(`http://${world.address}/`)).status).toBe(426);
  await world.switchOff();
  const socket = new WebSocket(`ws://${world.address}`);
  socket.on("error", () => {});
  const [, answer] = (await once(socket, "unexpected-response")) as [unknown, { statusCode: number }];
  expect(answer.statusCode).toBe(502);
  socket.terminate();
});

test("a handshake that is wrong leaves no connection to the device behind", async () => {
  world = await RosbridgeWorld.start("default: allow");
  const [host = "", port] = world.address.split(":");
  const raw = connect({ host, port: Number(port) });
  raw.write(
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n",
  );
  const [answer] = (await once(raw, "data")) as [Buffer];
  expect(answer.toString()).toMatch(/^HTTP\/1\.1 400 /);
  raw.destroy();
  const { client, device } = await world.connect();
  client.send({ op: "subscribe", topic: "/a" });
  expect(await device.next()).toMatchObject({ topic: "/a" });
});

test("a client that does not read holds up nothing but its own answers, in bounded memory", { timeout: 120_000 }, async () => {
  world = await RosbridgeWorld.start("default: allow");
  const { client, device } = await world.connect();
  client.send({ op: "subscribe", topic: "/a" });
  await device.next();
  client.socket.pause();
  const data = "x".repeat(1024 ** 2); // all of them are more than the system holds for sockets
  let unsent = 0;
  for (let count = 0; count < 40; count += 1) {
    unsent += 1;
    device.socket.send(JSON.stringify({ op: "publish", topic: "/a", msg: { data } }), () => (unsent -= 1));
  }
  const other = await world.connect();
  other.client.send({ op: "subscribe", topic: "/b" });
  expect(await other.device.next()).toMatchObject({ topic: "/b" });
  expect(unsent).toBeGreaterThan(0);
  client.socket.resume();
  for (let count = 0; count < 40; count += 1) expect(await client.next()).toMatchObject({ topic: "/a" });
});
