/** Monitors, cooldown and hours of a host daemon: real programs, a real journal, and a server that keeps what it hears. */
import { once } from "node:events";
import { existsSync, watch } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DeploymentId, type HostDeployment } from "@hardshare/protocol";
import { afterEach, expect, test } from "vitest";
import { HostWorld } from "../testing/host-world.fixture.ts";

const PROXY = "provider: proxy\nprobe: none\nservices: [{ name: ROBOT, command: ./serve.py }]\n";
/** A service that listens and says nothing. */
const SERVE = `#!/usr/bin/env python3
import socket, sys
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
print("127.0.0.1:%d" % s.getsockname()[1], flush=True)
while True: s.accept()
`;

let world: HostWorld;
let deployment: DeploymentId;
afterEach(() => world[Symbol.asyncDispose]());

/** A host with one deployment, whose monitor `./m` passes while a file `well` is there. */
async function build(contract: string): Promise<void> {
  const made = await HostWorld.make([`${PROXY}${contract}`]);
  world = made.world;
  deployment = DeploymentId.parse(made.deployments[0]);
  await world.script("m", `test -f ${wellFile()} || { echo battery is low; exit 3; }`);
  await writeFile(join(world.home, "deployments", "serve.py"), SERVE, { mode: 0o755 });
}
const wellFile = () => join(world.folder, "well");
const setWell = (isWell: boolean) => (isWell ? writeFile(wellFile(), "") : rm(wellFile(), { force: true }));

/** Waits until the host has told something of the deployment. */
function told<T>(find: (said: HostDeployment) => T | undefined | null | false): Promise<T> {
  return world.server.until(() => {
    const descriptions = world.server.heard.flatMap((message) => (message.type === "deployments" ? message.deployments : []));
    const last = descriptions.findLast((each) => each.deploymentId === deployment) ?? world.described(deployment);
    return (last === undefined ? undefined : find(last)) || undefined;
  });
}
async function untilThere(path: string): Promise<void> {
  const watcher = watch(world.folder);
  try {
    while (!existsSync(path)) await once(watcher, "change");
  } finally {
    watcher.close();
  }
}
const lockouts = () => world.server.heard.flatMap((message) => (message.type === "lockout" ? [message.reason] : []));

async function launchUp() {
  const instance = world.launch(deployment);
  await world.server.report(instance.instanceId, "up");
  return instance;
}

test("a monitor that fails locks the deployment, written down first, and nothing is launched; a later pass changes nothing", async () => {
  await build("monitors: [{ run: ./m, every: 1s }]\n");
  world.server.isAcknowledging = false;
  await world.start();
  const lockout = await world.server.until(() => world.server.heard.find((message) => message.type === "lockout"));
  expect(lockout).toMatchObject({ deploymentId: deployment, reason: "monitor failed: ./m ended with exit code 3", actor: "host" });
  expect(await readFile(join(world.state, "journal"), "utf8")).toContain('"kind":"lockout"');
  await setWell(true);
  const refused = world.launch(deployment);
  expect(await world.server.report(refused.instanceId, "ended")).toMatchObject({
    failedStep: "host",
    log: expect.stringContaining("locked out"),
  });
  expect(new Set(lockouts()).size).toBe(1);
});

test("a launch waits for the first verdict of a monitor", async () => {
  await build("monitors: [{ run: ./slow, on_fail: terminate }]\n");
  await world.script("slow", `while ! test -f ${wellFile()}; do read -t 0.05 line < /dev/zero; sleep 0.05; done`);
  await world.start();
  const instance = world.launch(deployment);
  await world.untilHeard();
  expect(world.server.reports(instance.instanceId)).toEqual([]);
  await setWell(true);
  await world.server.report(instance.instanceId, "up");
});

test("one that hangs is killed at its timeout, which is a failure; with `alert` it only tells the owner", async () => {
  await build("monitors: [{ run: ./hang, every: 1s, timeout: 0.3s, on_fail: alert }]\n");
  await world.script("hang", "echo looking; sleep 1000");
  const daemon = await world.start();
  const [alert] = await told(({ alerts }) => alerts.length > 0 && alerts);
  expect(alert?.message).toMatch(/^monitor failed: \.\/hang took longer than .* and was killed\nlooking$/);
  expect(daemon.status().deployments[0]?.alerts).toMatchObject([{ message: alert?.message }]);
  await launchUp();
  expect(lockouts()).toEqual([]);
});

test("with `terminate` the instance ends, told on its timeline, and there is none until the monitor passes again", async () => {
  await build("monitors: [{ run: ./m, every: 1s, on_fail: terminate }]\n");
  await setWell(true);
  await world.start();
  const instance = await launchUp();
  await setWell(false);
  expect(await world.server.report(instance.instanceId, "ended")).toMatchObject({ reason: "monitor", clean: true });
  expect(world.server.reports(instance.instanceId)).toContainEqual(
    expect.objectContaining({
      body: { kind: "notice", level: "alert", text: "monitor failed: ./m ended with exit code 3\nbattery is low" },
    }),
  );
  expect(await told(({ rest }) => rest)).toEqual({ why: "until ./m passes", until: null });
  const refused = world.launch(deployment);
  expect(await world.server.report(refused.instanceId, "ended")).toMatchObject({ log: "the deployment rests until ./m passes" });
  await setWell(true);
  await told(({ rest }) => rest === null);
  await launchUp();
  expect(lockouts()).toEqual([]);
});

test("monitors run beside an instance, outlive its end, and change with the contract", async () => {
  await build("monitors: [{ run: ./m, every: 1s, on_fail: alert }]\n");
  await setWell(true);
  await world.start();
  const instance = await launchUp();
  world.end(deployment, instance);
  await world.server.report(instance.instanceId, "ended");
  expect(await told(({ alerts }) => alerts.length === 0 && "none")).toBe("none");
  await world.script("n", `touch ${join(world.folder, "n-ran")}; exit 4`);
  await writeFile(world.contractFile(deployment), `${PROXY}monitors: [{ run: ./n, on_fail: alert }]\n`);
  const [alert] = await told(({ alerts }) => alerts.length > 0 && alerts);
  expect(alert?.message).toBe("monitor failed: ./n ended with exit code 4");
  expect(existsSync(join(world.folder, "n-ran"))).toBe(true);
});

test("after an instance the deployment rests for its cooldown, also for the next daemon, and nobody slips in between", async () => {
  await build("cooldown: 1h\n");
  await world.start();
  const instance = await launchUp();
  expect(await told(({ rest }) => rest)).toEqual({ why: "cooldown after the instance", until: null });
  world.end(deployment, instance);
  await world.server.report(instance.instanceId, "ended");
  const rest = await told(({ rest }) => rest?.until != null && rest);
  expect(rest.why).toBe("cooldown after an instance");
  expect(Date.parse(rest.until ?? "") - Date.now()).toBeGreaterThan(3_500_000);
  await world.daemon?.stop({ endInstances: true });
  const daemon = await world.start();
  expect(await told(({ rest }) => rest)).toEqual(rest);
  expect(daemon.status().deployments[0]?.rest).toEqual(rest);
  const refused = world.launch(deployment);
  expect(await world.server.report(refused.instanceId, "ended")).toMatchObject({
    log: expect.stringContaining("the deployment rests until 20"),
  });
  await writeFile(world.contractFile(deployment), `${PROXY}cooldown: 0.1s\n`);
  await told(({ rest }) => rest === null);
  await launchUp();
});

test("a program says when the cooldown is over", async () => {
  await build("cooldown: { run: ./m, every: 1s }\n");
  await world.start();
  expect(await told(({ rest }) => rest)).toEqual({ why: "until ./m says that it is ready", until: null });
  await setWell(true);
  await told(({ rest }) => rest === null);
  const instance = await launchUp();
  await setWell(false);
  world.end(deployment, instance);
  await world.server.report(instance.instanceId, "ended");
  await told(({ rest }) => rest?.why === "until ./m says that it is ready");
  await setWell(true);
  await told(({ rest }) => rest === null);
});

test("an E-stop kills what looks after the hardware before it makes it safe, and nothing asks again while it is locked out", async () => {
  const at = (name: string) => join(world.folder, name);
  await build("cooldown: { run: ./c, every: 1s }\nmonitors: [{ run: ./c, every: 1s }]\nsafe_state: [./safe]\n");
  await world.script("c", `trap '' TERM; echo $$ >> ${at("begun")}; touch ${at("$HARDSHARE_EVENT")}; while :; do sleep 1; done`);
  await world.script(
    "safe",
    `for pid in $(cat ${at("begun")}); do tr '\\0' ' ' < /proc/$pid/cmdline; done > ${at("seen")} 2> /dev/null; :`,
  );
  world.server.isAcknowledging = false;
  await world.start();
  for (const name of ["cooldown", "monitor.1"]) await untilThere(at(name));
  await world.server.estop({ deploymentId: deployment, instance: null, by: "owner", actor: "olga" });
  await untilThere(at("seen"));
  await world.daemon?.stop({ endInstances: true });
  expect(await readFile(at("seen"), "utf8")).toBe("");
  expect(lockouts()).toEqual(["E-stop by olga"]);
});

test("after an unlock a launch waits until the monitors have looked again", async () => {
  await build("monitors: [{ run: ./m, every: 1h }]\n");
  await world.start();
  await world.server.until(() => lockouts()[0]);
  await world.untilHeard(); // acknowledged, and no more in force at the server
  const refused = world.launch(deployment);
  expect(await world.server.report(refused.instanceId, "ended")).toMatchObject({ failedStep: "host" });
  await setWell(true);
  await world.untilHeard();
  await launchUp();
});

const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const clockOf = (at: Date) => `${String(at.getUTCHours()).padStart(2, "0")}:${String(at.getUTCMinutes()).padStart(2, "0")}`;
const openOn = (from: Date, to: Date) => `hours: { time_zone: UTC, open: ["${DAYS[from.getUTCDay()]} ${clockOf(from)}-${clockOf(to)}"] }\n`;
const inHours = (hours: number) => new Date(Date.now() + hours * 3_600_000);

test("outside of its hours it rests until they begin; within them it says when they end", async () => {
  await build(openOn(inHours(3), inHours(5)));
  await world.start();
  const rest = await told(({ rest }) => rest);
  expect(rest).toMatchObject({ why: "outside of its hours" });
  expect(Math.abs(Date.parse(rest.until ?? "") - inHours(3).getTime())).toBeLessThan(120_000);
  await writeFile(world.contractFile(deployment), `${PROXY}${openOn(inHours(-2), inHours(2))}`);
  const closesAt = await told(({ rest, closesAt }) => rest === null && closesAt);
  expect(Math.abs(Date.parse(closesAt) - inHours(2).getTime())).toBeLessThan(120_000);
});

test("a monitor whose program is not there keeps the deployment from being offered, and locks nothing", async () => {
  await build("monitors: [./nowhere]\n");
  const daemon = await world.start();
  expect(daemon.status().deployments[0]).toMatchObject({ problem: expect.stringContaining("monitors.0"), lockout: null });
  expect(lockouts()).toEqual([]);
});
