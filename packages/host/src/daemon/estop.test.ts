/** E-stop at the host, with real programs: in every state, by whom, and what stays of it. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { AppError, type DeploymentId, type DesiredInstance } from "@hardshare/protocol";
import { Deferred, systemClock } from "@hardshare/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Engine } from "../engine/engine.ts";
import { FakeEngine } from "../engine/fake-engine.ts";
import { HostWorld } from "../testing/host-world.fixture.ts";
import { pressEstop, stopAdvertising } from "./control-client.ts";

const ECHO = `import net from "node:net"; import { writeFileSync } from "node:fs";
writeFileSync("service-pid", String(process.pid));
process.on("SIGTERM", () => {}); // one that does not want to end
const server = net.createServer((socket) => socket.on("data", (data) => socket.write("echo " + data)));
server.listen(0, "127.0.0.1", () => console.log("127.0.0.1:" + server.address().port));`;

const CONTRACT = `provider: proxy
services: [{ name: ROBOT, command: ${process.execPath} echo.mjs }]
init: [./init.sh]
terminate: [{ run: ./terminate.sh, timeout: 20 }]
safe_state: [./safe.sh]
`;

let world: HostWorld;
let robot: DeploymentId;

beforeEach(async () => {
  const made = await HostWorld.make([CONTRACT]);
  world = made.world;
  robot = made.deployments[0]!;
  await writeFile(join(world.home, "deployments", "echo.mjs"), ECHO);
  for (const name of ["init", "terminate", "safe"]) await world.script(`${name}.sh`, `echo ${name} >> did`);
});
afterEach(() => world[Symbol.asyncDispose]());

const beside = (name: string) => readFile(join(world.home, "deployments", name), "utf8").catch(() => "");
const did = async () => (await beside("did")).trim().split("\n");
const stateOf = (pid: string) => readFile(`/proc/${pid.trim()}/stat`, "utf8").catch(() => "gone");

function closed(stream: Duplex): Promise<void> {
  stream.on("error", () => {}).resume();
  return new Promise((resolve) => stream.once("close", resolve));
}

const byOwner = { deploymentId: "" as DeploymentId, instance: null, by: "owner", actor: "olga" } as const;
const ofOwner = () => ({ ...byOwner, deploymentId: robot });
const ofUser = ({ instanceId, epoch }: DesiredInstance) =>
  ({ deploymentId: robot, instance: { instanceId, epoch }, by: "user", actor: "bob" }) as const;
const lockouts = () => world.server.heard.filter((each) => each.type === "lockout");

async function launchUntilUp(): Promise<DesiredInstance> {
  const instance = world.launch(robot);
  await world.server.report(instance.instanceId, "up");
  return instance;
}

/** A program that says when it runs, then moves the hardware for a long time. */
async function slowly(name: string): Promise<void> {
  await world.script(`${name}.sh`, `echo $$ > pid; echo ${name} >> did; echo moving; trap '' TERM; while :; do sleep 0.05; done`);
}

test("READY: nothing passes when the host answers; filters die, the hardware is made safe, it is locked out, then the instance ends", async () => {
  await world.start();
  const instance = await launchUntilUp();
  const stream = await world.server.open(instance.instanceId);
  stream.write("hello");
  expect(String((await once(stream, "data"))[0])).toBe("echo hello");
  const cut = closed(stream);
  const pid = await beside("service-pid");
  const lockoutId = `estop:${instance.instanceId}`;
  await world.server.estop({ ...ofOwner(), lockoutId });
  await expect(world.server.open(instance.instanceId).then(closed)).rejects.toThrow();
  await cut;
  expect(await world.server.report(instance.instanceId, "ended")).toEqual({ kind: "ended", reason: "estop", clean: true, residue: [] });
  expect(await stateOf(pid)).toBe("gone");
  expect(await did()).toEqual(["init", "safe", "terminate"]);
  expect(lockouts()).toMatchObject([{ lockoutId, reason: "E-stop by olga", instanceId: instance.instanceId }]);
  expect(await world.server.report(instance.instanceId, "notice")).toMatchObject({ level: "alert", text: "E-stop by olga" });
});

test("INIT: the running program is killed before the hardware is made safe", async () => {
  await slowly("init");
  await world.start();
  const { instanceId } = world.launch(robot);
  await world.server.report(instanceId, "log");
  const pid = await beside("pid");
  await world.script("safe.sh", `test -e /proc/${pid.trim()} && echo beside >> did; echo safe >> did`);
  await world.server.estop(ofOwner());
  expect(await world.server.report(instanceId, "ended")).toMatchObject({ reason: "estop", clean: true });
  expect(await did()).toEqual(["init", "safe", "terminate"]);
  expect(world.server.reports(instanceId).some(({ body }) => body.kind === "up")).toBe(false);
});

test("TERMINATING: the running program is killed, the hardware made safe, and the programs for the end run again", async () => {
  await slowly("terminate");
  await world.start();
  const instance = await launchUntilUp();
  world.end(robot, instance);
  await world.server.report(instance.instanceId, "log", ({ step }) => step === "terminate");
  const pid = await beside("pid");
  await world.script("safe.sh", `test -e /proc/${pid.trim()} && echo beside >> did; echo safe >> did`);
  await world.script("terminate.sh", "echo terminate again >> did");
  await world.server.estop(ofUser(instance));
  expect(await world.server.report(instance.instanceId, "ended")).toMatchObject({ reason: "estop", clean: true });
  expect(await did()).toEqual(["init", "terminate", "safe", "terminate again"]);
  expect(lockouts()).toMatchObject([{ reason: "E-stop by bob" }]);
});

test("no instance: the hardware is made safe all the same, and a launch that comes meanwhile is refused", async () => {
  await world.script("safe.sh", 'mkfifo gate; echo "instance=[$HARDSHARE_INSTANCE]" >> did; cat gate; echo safe >> did');
  await world.start();
  await world.server.estop(ofOwner());
  const refused = world.launch(robot);
  expect(await world.server.report(refused.instanceId, "ended")).toMatchObject({ reason: "estop", log: expect.stringContaining("E-stop") });
  await writeFile(join(world.home, "deployments", "gate"), "go");
  await world.daemon?.stop({ endInstances: true });
  expect(await did()).toEqual(["instance=[]", "safe"]);
  expect(lockouts()).toMatchObject([{ reason: "E-stop by olga" }]);
});

test("no instance at two deployments: what makes one safe does not end what makes the other safe", async () => {
  const made = await HostWorld.make([CONTRACT, CONTRACT.replace("safe.sh", "slow.sh")]);
  await world[Symbol.asyncDispose]();
  world = made.world;
  const [first, second] = made.deployments as [DeploymentId, DeploymentId];
  await world.script("safe.sh", "cat begun; echo safe >> did");
  await world.script("slow.sh", "echo > begun; cat gate; echo slow >> did");
  for (const name of ["begun", "gate"]) execFileSync("mkfifo", [join(world.home, "deployments", name)]);
  await world.start();
  await world.server.estop({ ...byOwner, deploymentId: second });
  await pressEstop({ state: world.state, id: first, actor: "root" });
  await stopAdvertising({ state: world.state, id: first }); // waits until it is over
  await writeFile(join(world.home, "deployments", "gate"), "go");
  await world.daemon?.stop({ endInstances: true });
  expect(await did()).toEqual(["safe", "slow"]);
  expect(lockouts().map(({ reason }) => reason)).toEqual(["E-stop by olga", "E-stop by root"]);
});

test("a user's press ends the own instance only, and with `estop_by_user: end` locks nothing out", async () => {
  await writeFile(world.contractFile(robot), `${CONTRACT}estop_by_user: end\n`);
  await world.start();
  const first = await launchUntilUp();
  await world.server.estop(ofUser(first));
  expect(await world.server.report(first.instanceId, "ended")).toMatchObject({ reason: "estop", clean: true });
  expect(await did()).toEqual(["init", "safe", "terminate"]);
  const second = await launchUntilUp();
  await world.server.estop(ofUser(first)); // late
  expect(world.daemon?.status().deployments[0]?.instance).toMatchObject({ id: second.instanceId, phase: "up" });
  expect(lockouts()).toEqual([]);
  await world.server.estop(ofOwner());
  expect(await world.server.report(second.instanceId, "ended")).toMatchObject({ reason: "estop" });
  expect(lockouts()).toHaveLength(1);
});

test("pressed again while the programs for the end run, it stops them again, with one lock-out", async () => {
  await slowly("terminate");
  await world.start();
  const instance = await launchUntilUp();
  await world.server.estop(ofUser(instance));
  await world.server.report(instance.instanceId, "log", ({ step }) => step === "terminate");
  await world.script("terminate.sh", "echo terminate again >> did");
  await world.server.estop(ofUser(instance));
  expect(await world.server.report(instance.instanceId, "ended")).toMatchObject({ reason: "estop", clean: true });
  expect(await did()).toEqual(["init", "safe", "terminate", "safe", "terminate again"]);
  expect(new Set(lockouts().map((each) => each.lockoutId)).size).toBe(1);
});

test("at the same moment as the end by its user it counts as E-stop, whichever comes first", async () => {
  await world.start();
  for (const order of ["end first", "estop first"]) {
    const instance = await launchUntilUp();
    if (order === "end first") world.end(robot, instance);
    const pressed = world.server.estop({ ...ofUser(instance), lockoutId: `estop:${instance.instanceId}` });
    if (order === "estop first") world.end(robot, instance);
    await pressed;
    expect(await world.server.report(instance.instanceId, "ended")).toMatchObject({ reason: "estop", clean: true });
  }
  expect(lockouts()).toHaveLength(2);
  expect(await did()).toEqual(["init", "safe", "terminate", "init", "safe", "terminate"]);
});

test("programs that fail to make the hardware safe lock the deployment out, also where the E-stop itself does not", async () => {
  await writeFile(world.contractFile(robot), `${CONTRACT}estop_by_user: end\n`);
  await world.script("safe.sh", "exit 3");
  await world.start();
  const instance = await launchUntilUp();
  await world.server.estop(ofUser(instance));
  expect(await world.server.report(instance.instanceId, "ended")).toMatchObject({ reason: "estop" });
  expect(lockouts()).toMatchObject([{ reason: expect.stringContaining("safe_state: ./safe.sh ended with exit code 3") }]);
});

test("one that was pressed while the host was away is acted on once when it comes back, without and with an instance", async () => {
  await world.start();
  world.server.estopInForce.set(robot, { lockoutId: "estop:x", actor: "olga" });
  world.server.tell(robot, null);
  await world.server.until(() => lockouts()[0]);
  world.server.tell(robot, null); // once more
  await world.untilHeard();
  await world.daemon?.stop({ endInstances: true });
  expect(await did()).toEqual(["safe"]);
  await world.start();
  await world.untilHeard();
  expect(await did()).toEqual(["safe"]);
  world.server.estopInForce.clear();
  const instance = await launchUntilUp();
  world.end(robot, instance, "estop");
  expect(await world.server.report(instance.instanceId, "ended")).toMatchObject({ reason: "estop", clean: true });
  expect(await did()).toEqual(["safe", "init", "safe", "terminate"]);
  expect(lockouts().at(-1)).toMatchObject({ lockoutId: `estop:${instance.instanceId}`, reason: "E-stop by bob" });
});

test("a user's that comes when the instance has ended by itself locks the deployment out all the same, as its contract says", async () => {
  await world.start();
  const instance = await launchUntilUp();
  world.end(robot, instance, "expired");
  expect(await world.server.report(instance.instanceId, "ended")).toMatchObject({ reason: "expired" });
  for (const _twice of [1, 2]) world.end(robot, instance, "estop");
  await world.server.until(() => lockouts()[0]);
  await world.untilHeard();
  expect(new Set(lockouts().map(({ lockoutId }) => lockoutId))).toEqual(new Set([`estop:${instance.instanceId}`]));
  expect(lockouts()[0]?.reason).toContain("E-stop by bob");
  await world.daemon?.stop({ endInstances: true });
  const before = await did();
  await world.start();
  await world.untilHeard();
  await world.daemon?.stop({ endInstances: true });
  expect(await did()).toEqual(before); // nothing of it is left to be done
});

test("a user's that comes when the instance has ended by itself locks nothing out where the contract says so", async () => {
  await writeFile(world.contractFile(robot), `${CONTRACT}estop_by_user: end\n`);
  await world.start();
  const instance = await launchUntilUp();
  world.end(robot, instance, "expired");
  expect(await world.server.report(instance.instanceId, "ended")).toMatchObject({ reason: "expired" });
  world.end(robot, instance, "estop");
  await world.untilHeard();
  expect(lockouts()).toEqual([]);
});

test("a step that hangs does not keep the hardware from being made safe", async () => {
  await world.start();
  const instance = await launchUntilUp();
  const goOn = new Deferred();
  world.failpoints.actions.set("host.end.filters.before", () => goOn.promise);
  await world.server.estop(ofOwner());
  await world.server.report(instance.instanceId, "step", ({ step, phase }) => step === "safe_state" && phase === "done");
  expect(await did()).toEqual(["init", "safe"]);
  goOn.resolve();
  expect(await world.server.report(instance.instanceId, "ended")).toMatchObject({ reason: "estop", clean: true });
});

test("an engine that hangs does not keep the hardware from being made safe", async () => {
  await writeFile(world.contractFile(robot), CONTRACT.replace("provider: proxy", "provider: podman"));
  const engine = new FakeEngine({
    clock: systemClock,
    images: { "localhost/hardshare/generic": { id: "i", labels: {}, command: ["sleep"] } },
  });
  const goOn = new Deferred();
  const hangs = new Proxy<Engine>(engine, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (name !== "createContainer" && name !== "removeContainer") return typeof value === "function" ? value.bind(target) : value;
      return () => goOn.promise.then(() => Promise.reject(new AppError("engine_failed", "it hung", { details: { status: 500 } })));
    },
  });
  await world.start({ openEngine: async () => hangs });
  const { instanceId } = world.launch(robot);
  await world.server.report(instanceId, "step", ({ step, phase }) => step === "filters" && phase === "done");
  await world.server.estop(ofOwner());
  await world.server.report(instanceId, "step", ({ step, phase }) => step === "safe_state" && phase === "done");
  expect(await did()).toEqual(["safe"]);
  goOn.resolve();
  expect(await world.server.report(instanceId, "ended")).toMatchObject({ reason: "estop" });
});

test("a flood of output, which the server does not take, goes before no E-stop and no answer to it", async () => {
  await world.script("init.sh", "echo begins; yes moving");
  await world.start();
  world.server.isAcknowledging = false;
  const { instanceId } = world.launch(robot);
  await world.server.until(() =>
    world.server.reports(instanceId).filter(({ body }) => body.kind === "log").length > 10 ? true : undefined,
  );
  await world.server.estop(ofOwner());
  world.server.isAcknowledging = true;
  world.server.disconnect();
  expect(await world.server.report(instanceId, "ended")).toMatchObject({ reason: "estop", clean: true });
  expect(await did()).toEqual(["safe", "terminate"]);
});

test("whoever sits at the host stops it through the daemon, without a server", async () => {
  await world.start();
  const instance = await launchUntilUp();
  world.server.disconnect();
  expect(await pressEstop({ state: world.state, id: robot.slice(0, 6), actor: "root" })).toEqual({
    deployment: robot,
    instance: instance.instanceId,
  });
  expect(await world.server.report(instance.instanceId, "ended")).toMatchObject({ reason: "estop", clean: true });
  expect(await did()).toEqual(["init", "safe", "terminate"]);
  expect(lockouts()).toMatchObject([{ reason: "E-stop by root" }]);
  await expect(pressEstop({ state: world.state, id: "zz", actor: "root" })).rejects.toMatchObject({ code: "not_found" });
});

test("pressed at the host again after the unlocking, while the same instance still ends, it is another lock-out", async () => {
  await slowly("terminate");
  await world.start();
  const { instanceId } = await launchUntilUp();
  const press = () => pressEstop({ state: world.state, id: robot, actor: "root" });
  await press();
  await world.server.report(instanceId, "log", ({ step }) => step === "terminate");
  await world.untilHeard(); // the server has recorded the lock-out; that it says nothing of it means that it was lifted
  expect(world.daemon?.status().deployments[0]?.lockout).toBeNull();
  await world.script("terminate.sh", "echo terminate again >> did");
  expect(await press()).toMatchObject({ instance: instanceId });
  expect(await world.server.report(instanceId, "ended")).toMatchObject({ reason: "estop", clean: true });
  expect(new Set(lockouts().map(({ lockoutId }) => lockoutId)).size).toBe(2);
});

test("the journal calls an E-stop acted on only after it says that the instance ends for it", async () => {
  await world.start();
  const { instanceId } = await launchUntilUp();
  await world.server.estop(ofOwner());
  await world.server.report(instanceId, "ended");
  const kinds = (await readFile(join(world.state, "journal"), "utf8"))
    .split("\n")
    .flatMap((line) => /"kind":"(\w+)"/.exec(line)?.[1] ?? []);
  const first = ["lockout", "ending", "stopped"].map((kind) => kinds.indexOf(kind));
  expect(first).toEqual(first.toSorted((a, b) => a - b));
  expect(first).not.toContain(-1);
});

test("the owner can end an instance at any time during INIT: by force, and by taking the deployment off the air", async () => {
  await slowly("init");
  await world.start();
  const forced = world.launch(robot);
  await world.server.report(forced.instanceId, "log");
  world.end(robot, forced, "owner");
  expect(await world.server.report(forced.instanceId, "ended")).toMatchObject({ reason: "owner", clean: true });
  expect(await stateOf(await beside("pid"))).toBe("gone");
  const stopped = world.launch(robot);
  await world.server.report(stopped.instanceId, "log");
  await stopAdvertising({ state: world.state, now: true });
  expect(await world.server.report(stopped.instanceId, "ended")).toMatchObject({ reason: "host_stopped", clean: true });
  expect(await stateOf(await beside("pid"))).toBe("gone");
});
