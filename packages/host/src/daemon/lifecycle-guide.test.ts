/** The example of lifecycle programs in «Share a robot» does what the guide says. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DeploymentId } from "@hardshare/protocol";
import { expect, test } from "vitest";
import { HostWorld } from "../testing/host-world.fixture.ts";

const GUIDE = fileURLToPath(new URL("../../../../docs/guides/share-a-robot.md", import.meta.url));

test("the programs of the guide's example run in its order, and its baseline locks the deployment out", async () => {
  const [, section = ""] = (await readFile(GUIDE, "utf8")).split("### Lifecycle programs");
  const example = /^```yaml\n([^]*?)^```$/m.exec(section)?.[1] ?? "";
  const contract = example.replace(/^init_inside.*\n/m, ""); // without a container here
  const { world, deployments } = await HostWorld.make([`provider: proxy\nservices: [{ name: ROBOT, command: ./serve.sh }]\n${contract}`]);
  await using _world = world;
  const robot = DeploymentId.parse(deployments[0]);
  await world.script("serve.sh", "echo $$ > service; echo 127.0.0.1:9; exec sleep 600");
  for (const name of ["home-arm", "stop", "stop-motors"]) await world.script(`${name}.sh`, 'echo "$HARDSHARE_EVENT" >> ran');
  await world.script("is-clean.sh", 'echo "$HARDSHARE_EVENT" >> ran; exit 1');
  await writeFile(join(world.home, "deployments", "ran"), "");
  await world.start();
  const instance = world.launch(robot);
  await world.server.report(instance.instanceId, "up");
  process.kill(Number(await readFile(join(world.home, "deployments", "service"), "utf8")), "SIGKILL");
  await world.server.report(instance.instanceId, "notice", (body) => body.text === "service ROBOT runs again");
  await world.server.report(instance.instanceId, "step", (body) => body.step === "safe_state" && body.phase === "done");
  world.end(robot, instance);
  expect(await world.server.report(instance.instanceId, "ended")).toMatchObject({ clean: false });
  const ran = await readFile(join(world.home, "deployments", "ran"), "utf8");
  expect(ran.trim().split("\n")).toEqual(["init", "safe_state", "terminate", "baseline"]);
  expect(world.server.heard.filter((each) => each.type === "lockout")).toHaveLength(1);
});
