/** What a host does when the server says that one of its deployments was dissolved. */
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { DeploymentId } from "@hardshare/protocol";
import { afterEach, beforeEach, expect, test } from "vitest";
import { HostWorld } from "../testing/host-world.fixture.ts";
import { execFileSync } from "node:child_process";
import { Journal } from "../journal/journal.ts";
import { systemClock } from "@hardshare/runtime";
import { startAdvertising } from "./control-client.ts";
import { deploymentsHere } from "./estop-here.ts";
import { setAsideHere } from "./set-aside-here.ts";

const CONTRACT = `# mine\nprovider: proxy\nservices: [{ name: ROBOT, command: ./serve.sh }]\n`;
const WHY = { reason: "the arm was sold", actor: "ada", at: "2026-01-01T00:00:00.000Z" };

let world: HostWorld;
let robot: DeploymentId;
let other: DeploymentId;
beforeEach(async () => {
  const made = await HostWorld.make([CONTRACT, CONTRACT]);
  world = made.world;
  [robot, other] = made.deployments as [DeploymentId, DeploymentId];
  await world.script("serve.sh", "echo 127.0.0.1:9; exec sleep 300");
});
afterEach(() => world[Symbol.asyncDispose]());

const statusOf = (id: DeploymentId) => world.daemon?.status().deployments.find((each) => each.id === id);
const config = () => readFile(join(world.home, "config.yaml"), "utf8");

test("it is offered no more, goes out of the configuration, and its contract is kept aside", async () => {
  await world.start();
  world.server.dissolved.set(robot, WHY);
  world.server.tell(robot, null);
  await world.untilHeard();
  expect(statusOf(robot)).toMatchObject({ isAdvertised: false, problem: expect.stringContaining("dissolved by ada") });
  expect(statusOf(other)).toMatchObject({ isAdvertised: true });
  await expect(startAdvertising({ state: world.state, deployments: [robot] })).rejects.toMatchObject({
    message: expect.stringMatching(/dissolved|no deployment/),
  });
  await world.daemon?.stop({ endInstances: true });
  expect(await config()).not.toContain(robot);
  expect(await config()).toContain(other);
  expect(await readFile(`${world.contractFile(robot)}.dissolved`, "utf8")).toBe(CONTRACT);
  await expect(stat(world.contractFile(robot))).rejects.toThrow();
});

test("several that were dissolved while the host was away are all set aside", async () => {
  for (const id of [robot, other]) world.server.dissolved.set(id, WHY);
  const daemon = await world.start();
  expect(daemon.status().deployments.map(({ problem }) => problem)).toEqual(Array(2).fill(expect.stringContaining("the arm was sold")));
  await daemon.stop({ endInstances: true });
  expect(await config()).not.toMatch(new RegExp(`${robot}|${other}`));
});

test("E-stop finds it here until nothing of its instance is left", async () => {
  const running = join(world.home, "deployments", "running");
  execFileSync("mkfifo", [running]);
  await world.script("end.sh", "echo > running; cat running > went-on");
  await writeFile(world.contractFile(robot), `${CONTRACT}terminate: [./end.sh]\n`);
  await world.start();
  const instance = world.launch(robot);
  await world.server.report(instance.instanceId, "up");
  world.server.dissolved.set(robot, WHY);
  world.end(robot, instance, "owner");
  await readFile(running);
  await world.untilHeard();
  expect(await deploymentsHere(world)).toContain(robot);
  await writeFile(running, "");
  await world.server.report(instance.instanceId, "ended");
  await world.daemon?.stop({ endInstances: true });
  expect(await deploymentsHere(world)).toEqual([other]);
  expect(await readFile(`${world.contractFile(robot)}.dissolved`, "utf8")).toContain("end.sh");
});

test("without a daemon it is set aside, unless something of an instance is left or a daemon starts", async () => {
  const here = (id: DeploymentId) => setAsideHere({ home: world.home, state: world.state, id });
  const time = { wallMs: systemClock.now(), uptimeMs: 0, bootId: "" };
  const { instanceId, epoch, user } = world.newInstance(robot);
  {
    await using journal = await Journal.open(world.state);
    const about = { deploymentId: robot, instanceId, epoch, user, deadline: time, at: new Date().toISOString() };
    await journal.append({ kind: "started", ...about, contract: CONTRACT, folder: world.home, sequence: 0 });
  }
  expect(await here(robot)).toBeUndefined();
  expect(await deploymentsHere(world)).toContain(robot);
  expect(await here(other)).toBe(`${world.contractFile(other)}.dissolved`);
  await world.start();
  expect(await here(robot)).toBeUndefined();
});

test("a contract that another deployment has too stays where it is", async () => {
  const shared = join(world.home, "deployments", "shared.yaml");
  await writeFile(shared, CONTRACT);
  const text = await config();
  await writeFile(join(world.home, "config.yaml"), text.replace(/(- id: .*)/g, "$1\n    contract: deployments/shared.yaml"));
  expect(await setAsideHere({ home: world.home, state: world.state, id: robot })).toBeUndefined();
  expect(await deploymentsHere(world)).toEqual([other]);
  expect(await readFile(shared, "utf8")).toBe(CONTRACT);
});
