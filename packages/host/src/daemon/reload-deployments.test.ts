import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { DeploymentId } from "@hardshare/protocol";
import { afterEach, beforeEach, expect, test } from "vitest";
import { HostWorld } from "../testing/host-world.fixture.ts";
import { reloadFiles } from "./control-client.ts";

/**
 * A program that speaks as filters do: notes its rules when it reads them, in a file beside them, and refuses those that
 * say so. It is not what is tested here, and need not filter anything.
 */
const FILTER = `import net from "node:net"; import { appendFileSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline"; import { once } from "node:events";
let args = process.argv.slice(2);
if (args[1] === "spare") {
  const lines = createInterface(process.stdin).once("close", () => process.exit());
  args = JSON.parse((await once(lines, "line"))[0]);
}
const file = args[args.indexOf("--rules") + 1];
const say = (report) => process.stderr.write(JSON.stringify({ at: new Date().toISOString(), ...report }) + "\\n");
const read = () => appendFileSync(file + ".read", readFileSync(file));
read();
process.on("SIGHUP", () => {
  if (String(readFileSync(file)).includes("#refuse")) return say({ type: "rules", problem: "not these" });
  read();
  say({ type: "rules" });
});
setInterval(() => say({ type: "pulse", judged: { in: 7, out: 0, blocked: 1 } }), 100);
net.createServer().listen(0, "127.0.0.1", function () { console.log("127.0.0.1:" + this.address().port); });`;

const CONTRACT = `provider: docker
services:
  - { name: ARM, filter: http, target: "127.0.0.1:9", rules: arm.yaml }
  - { name: LEG, filter: http, target: "127.0.0.1:9", rules: leg.yaml }
`;
const PROXY = `provider: proxy
services:
  - { name: ARM, filter: http, target: "127.0.0.1:9", rules: arm.yaml }
`;

let world: HostWorld;
let robot: DeploymentId;
const beside = (name: string) => join(world.home, "deployments", name);
const rulesRead = (name: string) => readFile(`${beside(name)}.read`, "utf8").catch(() => "");
const reload = () => reloadFiles({ state: world.state, id: robot });

beforeEach(async () => {
  const made = await HostWorld.make([PROXY, CONTRACT]);
  world = made.world;
  robot = made.deployments[0]!;
  await writeFile(beside("filter.mjs"), FILTER);
  await writeFile(beside("arm.yaml"), "default: allow\n");
  await writeFile(beside("leg.yaml"), "default: allow\n");
  await world.start({ selfCommand: [process.execPath, beside("filter.mjs")], deployments: [robot] });
});
afterEach(() => world[Symbol.asyncDispose]());

async function launch(): Promise<string> {
  const { instanceId } = world.launch(robot);
  await world.server.report(instanceId, "up");
  return instanceId;
}

test("rules that are right are in force as soon as reload has answered, and it says which", async () => {
  const instance = await launch();
  await writeFile(beside("arm.yaml"), "default: block\n");
  expect(await reload()).toEqual([
    {
      id: robot,
      contract: world.contractFile(robot),
      instance,
      isContractNewer: false,
      rules: [{ service: "ARM", file: beside("arm.yaml"), problem: null }],
    },
  ]);
  expect(await rulesRead("arm.yaml")).toBe("default: allow\ndefault: block\n");
});

test("every mistake in every file is told, and no filter is asked to read anything", async () => {
  await launch();
  await writeFile(beside("arm.yaml"), "default: perhaps\nruels: []\n");
  await writeFile(beside("leg.yaml"), "rules: [{ allow: 5 }]\n");
  await writeFile(world.contractFile(robot), PROXY.replace("target", "traget"));
  const problem = await reloadFiles({ state: world.state }).then(
    () => "",
    (error: Error) => error.message,
  );
  for (const told of [
    "arm.yaml:1:10: default: ",
    "arm.yaml:2:1: ruels: ",
    "leg.yaml:1:18: rules.0.allow: ",
    ":3:5: services.0.target: expected",
  ]) {
    expect(problem).toContain(told);
  }
  expect(await rulesRead("arm.yaml")).toBe("default: allow\n");
});

test("a rules file that is not there is told, and the filter goes on with the rules it has", async () => {
  await launch();
  await rm(beside("arm.yaml"));
  await expect(reload()).rejects.toMatchObject({
    code: "config_invalid",
    message: expect.stringMatching(/cannot read .*arm\.yaml: ENOENT/),
  });
  expect(await rulesRead("arm.yaml")).toBe("default: allow\n");
});

test("a filter that refuses what was right a moment before keeps its rules, and reload says so", async () => {
  await launch();
  await writeFile(beside("arm.yaml"), "default: block #refuse\n");
  expect((await reload())[0]?.rules).toMatchObject([{ service: "ARM", problem: "not these" }]);
});

test("without an instance the contract is read for the next one, and what is wrong with its rules is told", async () => {
  await writeFile(world.contractFile(robot), `${PROXY}max_duration: 7m\n`);
  expect(await reload()).toMatchObject([{ instance: null, isContractNewer: false, rules: [] }]);
  await writeFile(beside("arm.yaml"), "default: perhaps\n");
  await expect(reload()).rejects.toMatchObject({ code: "config_invalid" });
});

test("a program that cannot be run is told, the next instance waits for it, and reload offers the deployment again", async () => {
  const problemNow = () => world.daemon?.status().deployments.find(({ id }) => id === robot)?.problem;
  await writeFile(world.contractFile(robot), `${PROXY}safe_state: [./stop.sh]\n`);
  const problem = new RegExp(`${robot}\\.yaml:4:14: safe_state\\.0: the program .*/stop\\.sh is not there`);
  await expect(reload()).rejects.toMatchObject({ code: "config_invalid", message: expect.stringMatching(problem) });
  expect(problemNow()).toMatch(problem);
  const refused = world.launch(robot);
  expect(await world.server.report(refused.instanceId, "ended")).toMatchObject({
    reason: "init_failed",
    log: expect.stringMatching(problem),
  });
  await world.script("stop.sh", "true");
  await reload();
  expect(problemNow()).toBeNull();
  await launch();
});

test("a program that went away since the deployment was offered fails the launch before its first step", async () => {
  await world.script("stop.sh", "true");
  await writeFile(world.contractFile(robot), `${PROXY}safe_state: [./stop.sh]\n`);
  await reload();
  await rm(beside("stop.sh"));
  const { instanceId } = world.launch(robot);
  expect(await world.server.report(instanceId, "ended")).toMatchObject({ failedStep: "programs", clean: true, residue: [] });
  expect(world.server.reports(instanceId).filter(({ body }) => body.kind === "step")).toEqual([]);
});

test("what a service carried is told when the instance ends", async () => {
  const desired = world.launch(robot);
  await world.server.report(desired.instanceId, "up");
  world.end(robot, desired);
  await world.server.report(desired.instanceId, "ended");
  const traffic = world.server.reports(desired.instanceId).find(({ body }) => body.kind === "traffic");
  expect(traffic?.body).toMatchObject({ service: "ARM", bytes: { in: 0, out: 0 } });
});
