import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { DeploymentId } from "@hardshare/protocol";
import { type Clock, ManualClock, systemClock } from "@hardshare/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import { HostWorld } from "../testing/host-world.fixture.ts";
import { TOLD_BROKEN_AFTER_MS } from "../tunnels/instance-tunnel.ts";

const SILENT = `import net from "node:net";
const server = net.createServer();
server.listen(0, "127.0.0.1", () => console.log("127.0.0.1:" + server.address().port));`;

let world: HostWorld;
let robot: DeploymentId;

beforeEach(async () => {
  const made = await HostWorld.make([`provider: proxy\nservices: [{ name: ROBOT, command: ${process.execPath} silent.mjs }]\n`]);
  world = made.world;
  robot = made.deployments[0]!;
  await writeFile(join(world.home, "deployments", "silent.mjs"), SILENT);
});
afterEach(() => world[Symbol.asyncDispose]());

test("a tunnel that the hub cuts because an end is wanted is not told as broken", async () => {
  // All goes on but the time after which it would be told: an end may have to look again for processes.
  const held = new ManualClock();
  const after: Clock["after"] = (ms, run) => (ms === TOLD_BROKEN_AFTER_MS ? held : systemClock).after(ms, run);
  const clock = { ...systemClock, after };
  await world.start({ clock });
  const instance = world.launch(robot);
  await world.server.report(instance.instanceId, "up");
  for (const session of world.server.forwards(instance.instanceId)) session.cut();
  world.end(robot, instance);
  await world.server.report(instance.instanceId, "ended");
  held.advance(10_000);
  expect(world.server.reports(instance.instanceId).filter(({ body }) => body.kind === "notice")).toEqual([]);
});
