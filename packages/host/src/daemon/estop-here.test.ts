/** E-stop at the host's own computer when its daemon is dead or hangs, with a real daemon process. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, rm, watch, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { DeploymentId } from "@hardshare/protocol";
import { lockFolder, noFailpoints, silentLogger, systemClock, systemRandom } from "@hardshare/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import { HostWorld } from "../testing/host-world.fixture.ts";
import { SERVE } from "../testing/restart-world.fixture.ts";
import { daemonStatus } from "./control-client.ts";
import { deploymentsHere, estopHere, type StoppedHere } from "./estop-here.ts";

/** `dying-daemon.fixture.ts`, built by the set-up of tests. */
const DAEMON = fileURLToPath(new URL("../../../../.cache/test-programs/dying-daemon.js", import.meta.url));
const CONTRACT = `provider: proxy
services: [{ name: ROBOT, command: ${process.execPath} serve.mjs }]
terminate: [./terminate.sh]
safe_state: [./safe.sh]
`;

let world: HostWorld;
let robot: DeploymentId;
const children: ChildProcess[] = [];

beforeEach(async () => {
  const made = await HostWorld.make([CONTRACT]);
  world = made.world;
  robot = made.deployments[0]!;
  await writeFile(
    join(world.home, "deployments", "serve.mjs"),
    `import { writeFileSync } from "node:fs"; writeFileSync("service-pid", String(process.pid));\n${SERVE}`,
  );
  for (const name of ["terminate", "safe"]) await world.script(`${name}.sh`, `echo "${name} [$HARDSHARE_INSTANCE]" >> did`);
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  await world[Symbol.asyncDispose]();
});

async function startDaemon(): Promise<ChildProcess> {
  const child = spawn(process.execPath, [DAEMON, JSON.stringify({ home: world.home, state: world.state, dieAt: "" })], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  await once(child.stdout, "data");
  return child;
}

function press(): Promise<StoppedHere> {
  return estopHere({
    home: world.home,
    state: world.state,
    selfCommand: [process.execPath, "-e", "process.exit(9)"],
    environment: { PATH: process.env["PATH"] },
    deployment: robot,
    actor: "root",
    clock: systemClock,
    random: systemRandom,
    failpoints: noFailpoints,
    logger: silentLogger,
  });
}

const beside = (name: string) => readFile(join(world.home, "deployments", name), "utf8").catch(() => "");
/** Also when nobody has waited for its end yet. */
const isGone = async (pid: string) => / Z |gone/.test(await readFile(`/proc/${pid.trim()}/stat`, "utf8").catch(() => "gone"));

/** The next daemon goes on from the journal: it reports what it finds there, and runs nothing again. */
async function expectGoesOn(instanceId: string | null): Promise<void> {
  const before = await beside("did");
  await world.start();
  await world.server.until(() => world.server.heard.find((each) => each.type === "lockout" && each.reason === "E-stop by root"));
  if (instanceId !== null) {
    expect(await world.server.report(instanceId, "ended")).toMatchObject({ reason: "estop", clean: true });
    expect(world.described(robot)?.current).toMatchObject({ instanceId, phase: "ended" });
  }
  await world.untilHeard();
  await world.daemon?.stop({ endInstances: true });
  expect(await beside("did")).toBe(before);
}

test.each(["SIGSTOP", "SIGKILL"] as const)(
  "a daemon that got %s is replaced: its filters are dead, the hardware is safe, the instance ended",
  async (signal) => {
    const daemon = await startDaemon();
    const { instanceId } = world.launch(robot);
    await world.server.report(instanceId, "up");
    const pid = await beside("service-pid");
    const ended = once(daemon, "exit");
    daemon.kill(signal);
    expect(await press()).toEqual({ deployment: robot, instance: instanceId, by: "here" });
    await ended;
    expect(await isGone(pid)).toBe(true);
    expect(await beside("did")).toBe(`safe [${instanceId}]\nterminate [${instanceId}]\n`);
    await expectGoesOn(instanceId);
  },
);

test("the other deployments of a daemon that is killed are made safe too", async () => {
  const made = await HostWorld.make([CONTRACT, CONTRACT]);
  await world[Symbol.asyncDispose]();
  world = made.world;
  const [first, second] = made.deployments as [DeploymentId, DeploymentId];
  robot = first;
  await writeFile(join(world.home, "deployments", "serve.mjs"), SERVE);
  for (const name of ["terminate", "safe"]) await world.script(`${name}.sh`, `echo "${name} [$HARDSHARE_INSTANCE]" >> did`);
  const daemon = await startDaemon();
  const instances = [world.launch(first), world.launch(second)];
  for (const { instanceId } of instances) await world.server.report(instanceId, "up");
  daemon.kill("SIGSTOP");
  expect(await press()).toMatchObject({ deployment: first, by: "here" });
  const ran = (await beside("did")).trim().split("\n").toSorted();
  expect(ran).toEqual(instances.flatMap(({ instanceId }) => [`safe [${instanceId}]`, `terminate [${instanceId}]`]).toSorted());
});

test("a daemon that is killed while it makes the hardware safe leaves that, and the lock-out, to the next one", async () => {
  await world.script("safe.sh", 'echo "safe [$HARDSHARE_INSTANCE]" >> did; [ -e hold ] && exec sleep 60; exit 0');
  await writeFile(join(world.home, "deployments", "hold"), "");
  const daemon = await startDaemon();
  const { instanceId } = world.launch(robot);
  await world.server.report(instanceId, "up");
  expect(await press()).toMatchObject({ by: "daemon", instance: instanceId });
  await world.server.until(() => world.server.heard.find((each) => each.type === "lockout"));
  const ended = once(daemon, "exit");
  daemon.kill("SIGKILL");
  await ended;
  await rm(join(world.home, "deployments", "hold"));
  await world.start();
  expect(await world.server.report(instanceId, "ended")).toMatchObject({ reason: "estop", clean: true });
  expect((await beside("did")).trim().split("\n").slice(-2)).toEqual([`safe [${instanceId}]`, `terminate [${instanceId}]`]);
});

test("one without an instance that is interrupted is made whole by the next daemon, also when the server knows of it", async () => {
  await world.script("safe.sh", 'echo "safe [$HARDSHARE_INSTANCE]" >> did; [ -e hold ] && exec sleep 60; echo whole >> did');
  await writeFile(join(world.home, "deployments", "hold"), "");
  const daemon = await startDaemon();
  expect(await press()).toMatchObject({ by: "daemon", instance: null });
  await expect.poll(() => readFile(join(world.state, "journal"), "utf8")).toContain('"lockout_acknowledged"');
  await expect.poll(() => beside("did")).toBe("safe []\n");
  const ended = once(daemon, "exit");
  daemon.kill("SIGKILL");
  await ended;
  await rm(join(world.home, "deployments", "hold"));
  await world.start();
  await expect.poll(() => beside("did")).toBe("safe []\nsafe []\nwhole\n");
  await world.daemon?.stop({ endInstances: true });
  await world.start(); // and not once more
  await world.untilHeard();
  await world.daemon?.stop({ endInstances: true });
  expect(await beside("did")).toBe("safe []\nsafe []\nwhole\n");
});

/** A daemon that was killed while an instance ran. @returns process id of its service */
async function leaveOneRunning(): Promise<string> {
  const daemon = await startDaemon();
  const { instanceId } = world.launch(robot);
  await world.server.report(instanceId, "up");
  const ended = once(daemon, "exit");
  daemon.kill("SIGKILL");
  await ended;
  return beside("service-pid");
}

test("with a damaged journal all of the deployment is killed and the hardware made safe, and the damage is told", async () => {
  const pid = await leaveOneRunning();
  await writeFile(join(world.state, "journal"), "{}\n{}\n");
  await expect(press()).rejects.toThrow(/^the hardware was made safe\. .*an entry that this version does not understand/);
  expect(await isGone(pid)).toBe(true);
  expect(await beside("did")).toBe("safe []\n");
  await world.script("safe.sh", "exit 4");
  await expect(press()).rejects.toThrow(/^the hardware may NOT be safe: .*exit code 4/);
});

test.skipIf(process.geteuid?.() !== 0)("so it is on a disk that can't be written any more", async () => {
  const pid = await leaveOneRunning();
  execFileSync("mount", ["--bind", world.state, world.state]);
  try {
    execFileSync("mount", ["-o", "remount,ro,bind", world.state]);
    await expect(press()).rejects.toThrow(/^the hardware was made safe\. .*EROFS/);
  } finally {
    execFileSync("umount", [world.state]);
  }
  expect(await isGone(pid)).toBe(true);
  expect(await beside("did")).toBe("safe []\n");
});

test("without a daemon and without an instance the hardware is made safe all the same", async () => {
  expect(await press()).toEqual({ deployment: robot, instance: null, by: "here" });
  expect(await beside("did")).toBe("safe []\n");
  await expectGoesOn(null);
});

test("a daemon that is started meanwhile by its supervisor and this command are never two: one of them does it", async () => {
  const daemon = await startDaemon();
  const { instanceId } = world.launch(robot);
  await world.server.report(instanceId, "up");
  daemon.once("exit", () => void startDaemon().catch(() => {})); // as systemd does; it may lose the race, and ends then
  daemon.kill("SIGSTOP");
  const stopped = await press();
  expect(stopped).toMatchObject({ deployment: robot });
  if (stopped.by === "here") return expect(await beside("did")).toBe(`safe [${instanceId}]\nterminate [${instanceId}]\n`);
  expect(await world.server.report(instanceId, "ended")).toMatchObject({ reason: "estop", clean: true });
  expect(await beside("did")).toContain(`safe [${instanceId}]\n`);
});

test("a press while another does it without a daemon is answered by that one, whose programs are not interrupted", async () => {
  await world.script("safe.sh", `echo "begin" >> did; sleep 4; echo "end" >> did`); // longer than a daemon may take to listen
  const both = await Promise.all([press(), press()]);
  expect(both.map(({ by }) => by).toSorted()).toEqual(["daemon", "here"]);
  expect(await beside("did")).toBe("begin\nend\nbegin\nend\n");
});

test("it answers further presses also while only the other deployments are still made safe", async () => {
  const made = await HostWorld.make([CONTRACT, CONTRACT.replace("safe.sh", "slow.sh")]);
  await world[Symbol.asyncDispose]();
  world = made.world;
  const [first, second] = made.deployments as [DeploymentId, DeploymentId];
  robot = first;
  await writeFile(join(world.home, "deployments", "serve.mjs"), SERVE);
  for (const name of ["terminate", "safe"]) await world.script(`${name}.sh`, `echo "${name} [$HARDSHARE_INSTANCE]" >> did`);
  const gate = join(world.home, "deployments", "gate");
  execFileSync("mkfifo", [gate]);
  await world.script("slow.sh", `cat gate; echo "slow [$HARDSHARE_INSTANCE]" >> did`);
  const daemon = await startDaemon();
  const instances = [world.launch(first), world.launch(second)];
  for (const { instanceId } of instances) await world.server.report(instanceId, "up");
  daemon.kill("SIGSTOP");
  const isFirstOver = (async () => {
    for await (const _change of watch(world.state)) {
      if ((await readFile(join(world.state, "journal"), "utf8")).includes('"kind":"ended"')) return;
    }
  })();
  const pressed = press();
  await isFirstOver; // in the journal; in memory a moment later, of which nobody is told
  const ofFirst = async () => (await daemonStatus({ state: world.state }))?.deployments.find(({ id }) => id === first);
  while ((await ofFirst())?.instance !== null);
  expect(await press()).toEqual({ deployment: first, instance: null, by: "daemon" });
  await writeFile(gate, "go");
  expect(await pressed).toEqual({ deployment: first, instance: instances[0]?.instanceId, by: "here" });
  expect((await beside("did")).trim().split("\n")).toContain(`slow [${instances[1]?.instanceId}]`);
});

test("a daemon of the same configuration that works on another state folder is named, not waited for", async () => {
  await using _other = await lockFolder({ folder: world.home, name: "daemon.lock", holder: "a host daemon" });
  await expect(press()).rejects.toMatchObject({ code: "conflict", details: { pid: process.pid, folder: world.home } });
});

test("a configuration that was broken meanwhile keeps nobody from stopping what the daemon works on", async () => {
  await startDaemon();
  await writeFile(join(world.home, "config.yaml"), "deployments: [broken");
  expect(await deploymentsHere(world)).toEqual([robot]);
  expect(await press()).toEqual({ deployment: robot, instance: null, by: "daemon" });
  for (const daemon of children.splice(0)) {
    const ended = once(daemon, "exit");
    daemon.kill("SIGKILL");
    await ended;
  }
  await expect(deploymentsHere(world)).rejects.toMatchObject({ code: "config_invalid" });
  await rm(join(world.home, "config.yaml"));
  expect(await deploymentsHere(world)).toEqual([]);
});
