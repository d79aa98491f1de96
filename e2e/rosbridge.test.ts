import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Ros, Service, Topic } from "roslib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { RunningCommand } from "./harness/commands.ts";
import { OwnHost } from "./harness/own-host.ts";
import { expectAnswer, type Person, World } from "./harness/world.ts";

const RULES = `
rules:
  - allow: subscribe /odom
  - allow: publish /cmd_vel
    message: { type: object, properties: { linear: { type: object, properties: { x: { type: number } } } } }
    clamp: { /linear/x: [-0.2, 0.2] }
  - block: call_service /reboot
    because: only the owner reboots this robot
`;

let world: World;
let owner: Person;
let host: OwnHost;
let robot: RunningCommand<{ url: string; rosbridge: number }>;
let deployment: string;

beforeAll(async () => {
  world = await World.create();
  owner = await world.user("rosa");
  host = new OwnHost(owner);
  await owner.prepare("init", "--server", world.ready.url);
  robot = new RunningCommand(["sim", "--rosbridge", "0"], {});
  const rules = join(world.folder, "ros.rules.yaml");
  await writeFile(rules, RULES);
  const { rosbridge } = await robot.ready;
  deployment = await host.share(
    `provider: proxy\nservices: [{ name: ROS, filter: rosbridge, target: "127.0.0.1:${rosbridge}", rules: ${rules} }]\n`,
  );
  await host.advertise();
});
afterAll(async () => {
  await host?.[Symbol.asyncDispose]();
  await robot?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

test("a user far away drives a robot with ROS through the tunnel, as far as its owner's rules let it", async () => {
  await owner.json("launch", deployment, "--wait");
  await using forward = owner.start<{ port: number }>("forward", deployment);
  const ros = new Ros();
  const connected = new Promise<void>((resolve) => ros.once("connection", () => resolve()));
  await ros.connect(`ws://127.0.0.1:${(await forward.ready).port}`);
  await connected;
  const odometry = new Topic<{ pose: { pose: { position: { y: number } } } }>({ ros, name: "/odom", messageType: "nav_msgs/Odometry" });
  const driven = new Promise<void>((resolve) => odometry.subscribe(({ pose }) => pose.pose.position.y > 1.51 && resolve()));
  new Topic({ ros, name: "/cmd_vel", messageType: "geometry_msgs/Twist" }).publish({ linear: { x: 0.9 } });
  await driven;
  const rebooted = new Promise((resolve, reject) =>
    new Service({ ros, name: "/reboot", serviceType: "std_srvs/Trigger" }).callService({}, resolve, reject),
  );
  await expect(rebooted).rejects.toContain("only the owner reboots this robot");
  ros.close();
  await expectAnswer(owner.run(["terminate", deployment]));
  const { entries } = (await (await fetch(`${(await robot.ready).url}/ledger`)).json()) as {
    entries: { action: string; arguments: unknown }[];
  };
  expect(entries.map(({ action }) => action)).toEqual(["subscribe /odom", "advertise /cmd_vel", "publish /cmd_vel"]);
  expect(entries.at(-1)?.arguments).toMatchObject({ msg: { linear: { x: 0.2 } } });
});
