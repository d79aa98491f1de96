import { once } from "node:events";
import { ManualClock, silentLogger } from "@hardshare/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import { WebSocket } from "ws";
import { type Robot, startRobot } from "../robot.ts";

type Message = Record<string, unknown>;

let clock: ManualClock;
let robot: Robot;
let socket: WebSocket;
let heard: Message[];
beforeEach(async () => {
  clock = new ManualClock();
  robot = await startRobot({ host: "127.0.0.1", port: 0, rosbridgePort: 0, clock, logger: silentLogger });
  socket = new WebSocket(`ws://127.0.0.1:${robot.rosbridgePort}`);
  heard = [];
  socket.on("message", (data: Buffer) => heard.push(JSON.parse(data.toString("utf8")) as Message));
  await once(socket, "open");
});
afterEach(async () => {
  socket.terminate();
  await robot[Symbol.asyncDispose]();
});

/** Sends, and settles when the robot has taken it: it answers a call in its turn. */
async function say(...messages: (Message | string)[]): Promise<void> {
  for (const message of messages) socket.send(typeof message === "string" ? message : JSON.stringify(message));
  socket.send('{"op":"call_service","service":"/rosapi/topics","id":"turn"}');
  for (;;) {
    await once(socket, "message");
    const index = heard.findIndex(({ id }) => id === "turn");
    if (index >= 0) return void heard.splice(index, 1);
  }
}

async function ledger(): Promise<string[]> {
  const answer = (await (await fetch(`${robot.url}/ledger`)).json()) as { entries: { channel: string; action: string }[] };
  return answer.entries
    .filter(({ channel, action }) => channel === "rosbridge" && action !== "call_service /rosapi/topics")
    .map(({ action }) => action);
}

test("a velocity drives the robot for half a second, and its odometry tells so", async () => {
  await say({ op: "subscribe", topic: "/odom" }, { op: "publish", topic: "/cmd_vel", msg: { linear: { x: 0.2 } } });
  expect(heard[0]).toMatchObject({ op: "publish", topic: "/odom", msg: { pose: { pose: { position: { x: 2, y: 1.5 } } } } });
  clock.advance(2000);
  await say();
  const last = heard.at(-1) as { msg: { pose: { pose: { position: { y: number } } } } };
  expect(last.msg.pose.pose.position.y).toBeCloseTo(1.6);
});

test("a goal is pursued with feedback until it is reached or cancelled", async () => {
  const goal = { op: "send_action_goal", action: "/drive_distance", action_type: "a/B", feedback: true };
  await say({ ...goal, id: "one", args: { distance: 0.2, speed: 0.1 } });
  clock.advance(3000);
  await say();
  expect(heard.find(({ op }) => op === "action_feedback")).toMatchObject({ id: "one", values: { driven: expect.any(Number) } });
  expect(heard.at(-1)).toMatchObject({ op: "action_result", id: "one", status: 4, values: { driven: 0.2 }, result: true });
  await say({ ...goal, id: "two", args: { distance: 1, speed: 0.1 } }, { op: "cancel_action_goal", action: "/any", id: "two" });
  expect(heard.find(({ id, op }) => op === "action_result" && id === "two")).toMatchObject({ status: 5 });
});

test("it reads as carelessly as the real one, and all that it took is in the ledger", async () => {
  await say(
    'x{"op":"publish","topic":"cmd_vel","msg":{"linear":{"x":NaN}}}{"op":"advertise","topic":"//cmd_vel"}',
    { op: "fragment", id: "a", num: 0, total: 2, data: '{"op":"call_serv' },
    { op: "fragment", id: "a", num: 1, total: 2, data: 'ice","service":"reboot#1"}' },
    "nothing",
  );
  expect(await ledger()).toEqual(["publish /cmd_vel", "advertise /cmd_vel", "call_service /reboot#1", "malformed"]);
  expect(heard).toContainEqual({
    op: "service_response",
    service: "reboot#1",
    values: { success: true, message: "booted 2 times" },
    result: true,
  });
});
