import { rosbridgeFilterKind } from "@hardshare/filters";
import { Action, Ros, Service, Topic } from "roslib";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type AttackedRobot, startAttackedRobot } from "./attacked-robot.ts";

const RULES = `
rules:
  - allow: subscribe /odom
    remove: [/child_frame_id]
  - allow: publish /cmd_vel
    type: geometry_msgs/Twist
    message: { type: object, properties: { linear: { type: object, properties: { x: { type: number, minimum: -1, maximum: 1 } } } } }
    clamp: { /linear/x: [-0.2, 0.2] }
  - allow: call_service /rosapi/topics
  - block: call_service /reboot
    because: only the owner reboots this robot
  - allow: send_action_goal /drive_distance
    message:
      type: object
      additionalProperties: false
      properties: { distance: { type: number, maximum: 5 }, speed: { type: number, maximum: 0.5 } }
`;

interface Odometry {
  pose: { pose: { position: { y: number } } };
  child_frame_id?: string;
}

let robot: AttackedRobot;
let ros: Ros;
beforeAll(async () => {
  robot = await startAttackedRobot(RULES, ({ rosbridgePort }) => rosbridgeFilterKind({ target: `127.0.0.1:${rosbridgePort}` }));
});
afterAll(() => robot?.[Symbol.asyncDispose]());
afterEach(() => ros.close());

async function connect(): Promise<Ros> {
  ros = new Ros();
  const connected = new Promise<void>((resolve) => ros.once("connection", () => resolve()));
  await ros.connect(`ws://127.0.0.1:${robot.port}`);
  await connected;
  return ros;
}

/** The next refusal of this id. */
const refusal = (of: Ros, id: string) => new Promise<void>((resolve) => of.once(`status:${id}`, () => resolve()));

test("a robot drives by what its user publishes, no faster than its owner allows, and tells where it is", async () => {
  const topic = new Topic<Odometry>({ ros: await connect(), name: "/odom", messageType: "nav_msgs/msg/Odometry", compression: "cbor" });
  const first = await new Promise<Odometry>((resolve) => topic.subscribe(resolve));
  expect(first.child_frame_id).toBeUndefined();
  const { y } = first.pose.pose.position;
  const moved = new Promise<void>((resolve) => topic.subscribe(({ pose }) => pose.pose.position.y > y && resolve()));
  new Topic({ ros, name: "/cmd_vel", messageType: "geometry_msgs/Twist" }).publish({ linear: { x: 0.9 } });
  await moved;
  const entries = await robot.readLedger();
  topic.unsubscribe();
  expect(entries.map(({ action }) => action)).toEqual(["subscribe /odom", "advertise /cmd_vel", "publish /cmd_vel"]);
  expect(entries[0]?.arguments).not.toHaveProperty("compression");
  expect(entries[2]?.arguments).toMatchObject({ msg: { linear: { x: 0.2 } } });
});

test("a call that is refused fails with the owner's reason, and one that is allowed is answered", async () => {
  await connect();
  const call = (name: string) =>
    new Promise((resolve, reject) => new Service({ ros, name, serviceType: "std_srvs/Trigger" }).callService({}, resolve, reject));
  await expect(call("/reboot")).rejects.toContain("only the owner reboots this robot (rule call_service /reboot)");
  await expect(call("/rosapi/set_param")).rejects.toContain("no filter rule");
  await expect(call("/rosapi/topics")).resolves.toMatchObject({ topics: expect.arrayContaining(["/odom"]) });
  expect((await robot.readLedger()).map(({ action }) => action)).not.toContain("call_service /reboot");
});

test("goals succeed, are cancelled by the connection that sent them alone, or are refused", async () => {
  await connect();
  const action = new Action<object, { driven: number }, { driven: number }>({
    ros,
    name: "/drive_distance",
    actionType: "robot_msgs/Drive",
  });
  const feedback: unknown[] = [];
  const goal = (distance: number, onSent: (id: string) => void = () => {}) =>
    new Promise<{ driven: number }>((resolve, reject) => {
      const id = action.sendGoal({ distance, speed: 0.5 }, resolve, (values) => onFeedback(values), reject);
      const onFeedback = (values: unknown) => {
        feedback.push(values);
        if (id !== undefined) onSent(id);
      };
    });
  await expect(goal(0.1)).resolves.toEqual({ driven: 0.1 });
  const other = new Ros();
  const connected = new Promise<void>((resolve) => other.once("connection", () => resolve()));
  await other.connect(`ws://127.0.0.1:${robot.port}`);
  await connected;
  const foreign = new Action({ ros: other, name: "/drive_distance", actionType: "robot_msgs/Drive" });
  let isTried = false;
  const cancelled = goal(5, (id) => {
    if (isTried) return;
    isTried = true;
    void refusal(other, id).then(() => action.cancelGoal(id));
    foreign.cancelGoal(id);
  });
  await expect(cancelled).rejects.toContain("driven");
  other.close();
  await expect(goal(6)).rejects.toContain("must be <= 5");
  expect(feedback.length).toBeGreaterThan(1);
});
