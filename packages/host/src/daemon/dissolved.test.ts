/** What a host does when the server says that one of its deployments was dissolved. */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { DeploymentId } from "@hardshare/protocol";
import { afterEach, beforeEach, expect, test } from "vitest";
import { HostWorld } from "../testing/host-world.fixture.ts";
import { startAdvertising } from "./control-client.ts";

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
