/** What `hardshare check` finds on the host's side, with a daemon and without one; each thing is really wrong. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, open, readFile, realpath, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import "@hardshare/filters"; // loaded when it is needed: here, so that no test waits for it
import type { CheckEvent, CheckFinding, DeploymentId } from "@hardshare/protocol";
import { noFailpoints, silentLogger, systemClock, systemRandom } from "@hardshare/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import { parseContract } from "../contract/load-contract.ts";
import { daemonStatus, pressEstop } from "../daemon/control-client.ts";
import { FakeEngine } from "../engine/fake-engine.ts";
import { HostWorld } from "../testing/host-world.fixture.ts";
import { markTrial, trialFolder } from "../trial/trial-mark.ts";
import { trialInstanceOf } from "../trial/trial.ts";
import { checkHere, type CheckHereOptions } from "./check-here.ts";

const IMAGE = { id: "1", labels: {}, command: [] };
const ECHO = `import net from "node:net";
const server = net.createServer((socket) => socket.pipe(socket));
server.listen(0, "127.0.0.1", () => console.log("127.0.0.1:" + server.address().port));`;

const CONTRACT = `provider: proxy
services: [{ name: ROBOT, command: ${process.execPath} echo.mjs }]
init: [./note.sh]
terminate: [./note.sh]
baseline: [./note.sh]
safe_state: [./note.sh]
`;

let world: HostWorld;
let robot: DeploymentId;

beforeEach(async () => {
  const made = await HostWorld.make([CONTRACT]);
  world = made.world;
  robot = made.deployments[0]!;
  await writeFile(join(world.home, "deployments", "echo.mjs"), ECHO);
  await world.script("note.sh", 'echo "$HARDSHARE_EVENT $HARDSHARE_INSTANCE" >> did');
  await writeFile(join(world.home, "deployments", "did"), "");
});
afterEach(() => world[Symbol.asyncDispose]());

const did = () => readFile(join(world.home, "deployments", "did"), "utf8");
const contract = (text: string) => writeFile(world.contractFile(robot), text);

async function check(options: Partial<CheckHereOptions> = {}): Promise<CheckFinding[]> {
  const found: CheckFinding[] = [];
  await checkHere({
    home: world.home,
    state: world.state,
    selfCommand: [process.execPath, "-e", "console.error('no such filter'); process.exit(9)"],
    environment: { PATH: process.env["PATH"] },
    clock: systemClock,
    random: systemRandom,
    failpoints: noFailpoints,
    logger: silentLogger,
    deployments: [robot],
    launches: true,
    failFast: false,
    signal: new AbortController().signal,
    openEngine: async () => new FakeEngine({ clock: systemClock, images: { "localhost/hardshare/generic": IMAGE } }),
    ...options,
    emit: (event) => {
      if (event.kind === "finding") found.push(event.finding);
      options.emit?.(event);
    },
  });
  return found;
}
/** Codes of what was found, but for the room on this machine's disk. */
const codes = async (options?: Partial<CheckHereOptions>) =>
  (await check(options)).map(({ code }) => code).filter((code) => !code.startsWith("disk_"));

test("without a daemon a deployment is launched and ended on trial by all its programs, and nothing is left", async () => {
  expect(await codes()).toEqual(["not_offered", "trial_passed"]);
  const trial = trialInstanceOf(robot);
  expect(await did()).toBe(`init ${trial}\nterminate ${trial}\nbaseline ${trial}\n`);
  expect(await world.instanceFolders()).toEqual([]);
  expect(await daemonStatus({ state: world.state })).toBeUndefined();
  await world.start(); // the folders are free again
});

test("with a daemon it is the daemon that tries, and the server hears of no instance", async () => {
  await world.start();
  expect(await codes()).toEqual(["trial_passed"]);
  expect(world.server.reports(trialInstanceOf(robot))).toEqual([]);
  const instance = world.launch(robot);
  await world.server.report(instance.instanceId, "up");
});

test("with --no-launch services are started and nothing is moved", async () => {
  expect(await codes({ launches: false })).toEqual(["not_offered"]);
  expect(await did()).toBe("");
  await contract(CONTRACT.replace("echo.mjs", "nothing.mjs"));
  expect(await codes({ launches: false })).toEqual(["not_offered", "service_failed"]);
});

test("beside an instance nothing is launched", async () => {
  await world.start();
  const instance = world.launch(robot);
  await world.server.report(instance.instanceId, "up");
  const before = await did();
  const found = await check();
  expect(found.find(({ code }) => code === "trial_skipped")?.cause).toBe("an instance of bob runs");
  expect(await did()).toBe(before);
});

test("beside an instance its device is not dialled", async () => {
  await world.start();
  const instance = world.launch(robot);
  await world.server.report(instance.instanceId, "up");
  await writeFile(join(world.home, "deployments", "r.yaml"), "default: block\nrules: []\n");
  await contract("provider: proxy\nservices: [{ name: ROBOT, filter: http, target: '127.0.0.1:1', rules: r.yaml }]\n");
  expect(await codes()).not.toContain("target_unreachable");
});

test("a second check of a deployment at the same time is told that the first goes on", async () => {
  await world.script("note.sh", '[ "$HARDSHARE_EVENT" != init ] || head -c1 gate');
  const gate = join(world.home, "deployments", "gate");
  execFileSync("mkfifo", [gate]);
  await world.start();
  let second: Promise<unknown> | undefined;
  const first = codes({
    emit: (event) => {
      if (isStep(event, "init")) second ??= check().catch((error: unknown) => error);
    },
  });
  const opened = writeFile(gate, "x");
  expect(await first).toContain("trial_passed");
  await opened;
  expect(await second).toMatchObject({ code: "busy", message: expect.stringContaining("another check") });
});

test("nothing is launched, nor any service started, while the server refuses instances", async () => {
  const refusals = new Map([[robot as string, "locked out by ada: somebody stands beside the arm"]]);
  await contract(CONTRACT.replace("echo.mjs", "nothing.mjs"));
  for (const launches of [true, false]) {
    const found = await check({ launches, refusals });
    expect(found.find(({ code }) => code === "trial_skipped")?.cause).toContain("somebody stands beside");
    expect(found.map(({ code }) => code)).not.toContain("service_failed");
  }
  await world.start();
  expect(await codes({ refusals })).toContain("trial_skipped");
  expect(await did()).toBe("");
});

test("a monitor that says to end instances ends a trial too", async () => {
  await world.script("note.sh", 'echo "$HARDSHARE_EVENT" >> did; [ "$HARDSHARE_EVENT" != init ] || { touch hot; exec sleep 300; }');
  await world.script("heat.sh", "[ ! -e hot ]");
  await contract(`${CONTRACT}monitors: [{ run: ./heat.sh, every: 1s, on_fail: terminate }]\n`);
  await world.start();
  expect((await check()).find(({ code }) => code === "trial_skipped")?.cause).toContain("ended before it was whole");
  expect(await did()).toContain("terminate");
});

test("an instance that is wanted during a trial begins when the trial is over", async () => {
  await world.script("note.sh", 'echo "$HARDSHARE_EVENT $HARDSHARE_INSTANCE" >> did; [ "$HARDSHARE_EVENT" != init ] || head -c1 gate');
  const gate = join(world.home, "deployments", "gate");
  execFileSync("mkfifo", [gate]);
  await world.start();
  let trialInit = () => {};
  const isInInit = new Promise<void>((resolve) => (trialInit = resolve));
  const checking = codes({ emit: (event) => isStep(event, "init") && trialInit() });
  await isInInit;
  const instance = world.launch(robot);
  await world.untilHeard();
  expect(world.daemon?.status().deployments[0]?.instance).toBeNull();
  await writeFile(gate, "xx");
  expect(await checking).toContain("trial_passed");
  await writeFile(gate, "x");
  await world.server.report(instance.instanceId, "up");
  const [first] = (await did()).split("\n");
  expect(first).toBe(`init ${trialInstanceOf(robot)}`);
});

test("ending the check in the middle undoes the trial", async () => {
  await world.script("note.sh", 'echo "$HARDSHARE_EVENT" >> did; [ "$HARDSHARE_EVENT" != init ] || exec sleep 300');
  const stop = new AbortController();
  const checking = check({ signal: stop.signal, emit: (event) => isStep(event, "init") && stop.abort() });
  await expect(checking).rejects.toThrow();
  expect((await did()).split("\n")).toEqual(expect.arrayContaining(["terminate", "baseline"]));
  expect(await world.instanceFolders()).toEqual([]);
});

test("who hangs up on the daemon in the middle has it undo the trial", async () => {
  await world.script("note.sh", 'echo "$HARDSHARE_EVENT" >> did; [ "$HARDSHARE_EVENT" != init ] || exec sleep 300');
  await world.start();
  const stop = new AbortController();
  const checking = check({ signal: stop.signal, emit: (event) => isStep(event, "init") && stop.abort() });
  await expect(checking).rejects.toMatchObject({ code: "cancelled" });
  // While the trial runs the deployment is not offered, and the server is told of both.
  const offers = () => world.server.heard.flatMap((each) => (each.type === "deployments" ? [each.deployments[0]?.isAdvertised] : []));
  await world.server.until(() => (offers().includes(false) && offers().at(-1) === true) || undefined);
  expect((await did()).split("\n")).toEqual(expect.arrayContaining(["terminate", "baseline"]));
});

test("E-stop during a trial makes the hardware safe and locks the deployment out", async () => {
  await world.script("note.sh", 'echo "$HARDSHARE_EVENT" >> did; [ "$HARDSHARE_EVENT" != init ] || exec sleep 300');
  let press: Promise<unknown> | undefined;
  const found = await check({
    emit: (event) => {
      if (isStep(event, "init")) press ??= pressEstop({ state: world.state, id: robot, actor: "ada" });
    },
  });
  expect(await press).toEqual({ deployment: robot, instance: null });
  expect(found.find(({ code }) => code === "trial_failed")?.cause).toContain("E-stop");
  expect(await did()).toContain("safe_state");
  const again = await check();
  expect(again.find(({ code }) => code === "trial_skipped")?.cause).toContain("E-stop by ada");
});

test("a trial that was killed is undone by the next daemon, and an instance that is wanted waits for that", async () => {
  const loaded = parseContract(CONTRACT, world.contractFile(robot), join(world.home, "deployments"));
  await markTrial(trialFolder(world.state, robot), { loaded, isWhole: true }); // as a trial does before its first step
  const instance = world.newInstance(robot);
  world.server.desired.set(robot, instance);
  await world.start();
  await world.server.report(instance.instanceId, "up");
  const trial = trialInstanceOf(robot);
  const events = (await did()).trimEnd().split("\n");
  expect(events).toEqual([`safe_state ${trial}`, `terminate ${trial}`, `baseline ${trial}`, `init ${instance.instanceId}`]);
  expect(await codes()).toContain("trial_skipped");
});

test("E-stop is taken at once while a check without a daemon undoes a trial that was killed", async () => {
  const loaded = parseContract(CONTRACT, world.contractFile(robot), join(world.home, "deployments"));
  await markTrial(trialFolder(world.state, robot), { loaded, isWhole: true });
  const running = join(world.home, "deployments", "running");
  execFileSync("mkfifo", [running]);
  const once = "[ -e once ] || { touch once; echo > running; exec sleep 300; }";
  await world.script("note.sh", `echo "$HARDSHARE_EVENT" >> did; [ "$HARDSHARE_EVENT" != terminate ] || ${once}`);
  const checking = check();
  await readFile(running);
  expect(await pressEstop({ state: world.state, id: robot, actor: "ada" })).toEqual({ deployment: robot, instance: null });
  expect((await checking).find(({ code }) => code === "trial_skipped")?.cause).toContain("E-stop by ada");
  expect((await did()).split("\n").filter((event) => event === "safe_state")).toHaveLength(2);
});

test("a trial that cannot be undone locks the deployment out", async () => {
  await world.script("note.sh", '[ "$HARDSHARE_EVENT" != baseline ] || { echo gripper is open; exit 3; }');
  await world.start();
  const found = await check();
  expect(found.find(({ code }) => code === "trial_unclean")?.cause).toContain("exit code 3");
  const lockout = await world.server.until(() => world.server.heard.find((each) => each.type === "lockout"));
  expect(lockout).toMatchObject({ reason: expect.stringContaining("after a trial") });
  expect(lockout).not.toHaveProperty("instanceId");
});

test.each([
  ["provider: nothing\n", "contract_invalid"],
  [CONTRACT.replace("init: [./note.sh]", "init: [./missing.sh]"), "program_unusable"],
  [CONTRACT.replace("init: [./note.sh]", "init: ['false']"), "trial_failed"],
  [CONTRACT.replace("init: [./note.sh]", "init: [{ run: 'false', on_fail: warn }]"), "trial_warned"],
  [CONTRACT.replace(/command: .*mjs/, "command: 'false'"), "service_failed"],
  [`${CONTRACT}monitors: [{ run: 'false', every: 1h }]\n`, "monitor_failed"],
  ["devices: [/dev/hardshare-no-such]\n", "device_missing"],
  ["devices: [/dev/shm]\n", "device_wrong_type"],
  ["image: localhost/none\n", "image_missing"],
])("what makes a launch fail is found, with its code: %s", async (text, code) => {
  await contract(text);
  expect(await codes()).toContain(code);
});

test("a container engine that is not there is found", async () => {
  await contract("provider: docker\n");
  const environment = { PATH: process.env["PATH"], DOCKER_HOST: "unix:///nowhere/docker.sock" };
  expect(await codes({ environment, openEngine: undefined })).toContain("engine_unusable");
});

test("a device that takes no connections, and rules that constrain nothing or are wrong, are found", async () => {
  const closed = createServer().listen(0, "127.0.0.1");
  await once(closed, "listening");
  const { port } = closed.address() as { port: number };
  await new Promise((resolve) => closed.close(resolve));
  const rules = join(world.home, "deployments", "r.yaml");
  await writeFile(rules, "default: allow\nrules: []\n");
  await contract(`provider: proxy\nservices: [{ name: ROBOT, filter: http, target: "127.0.0.1:${port}", rules: r.yaml }]\n`);
  expect(await codes()).toEqual(expect.arrayContaining(["target_unreachable", "unfiltered_service", "safe_state_missing"]));
  await writeFile(rules, "rules: [{ allow: nonsense }]\n");
  expect(await codes()).toContain("contract_invalid");
});

test("a serial device that another program has open is told with who has it", async () => {
  const link = join(world.folder, "tty");
  const socat = spawn("socat", ["-d", "-d", `PTY,rawer,link=${link}`, "STDIO"], { stdio: ["pipe", "ignore", "pipe"] });
  try {
    for await (const line of createInterface({ input: socat.stderr })) if (line.includes("starting data transfer")) break;
    const path = await realpath(link);
    await using tty = await open(path, "r+");
    const holder = spawn("sleep", ["300"], { stdio: [tty.fd, "ignore", "ignore"] });
    try {
      await once(holder, "spawn");
      await writeFile(join(world.home, "deployments", "s.yaml"), "rules: []\n");
      await contract(`provider: proxy\nservices: [{ name: ARM, filter: serial, target: ${path}, rules: s.yaml }]\n`);
      expect((await check()).find(({ code }) => code === "device_busy")?.cause).toContain(`sleep (process ${holder.pid})`);
    } finally {
      holder.kill("SIGKILL");
    }
  } finally {
    socat.kill("SIGKILL");
  }
});

test.each(["deployments/note.sh", "deployments", ""])("a program that others can change or replace is told: home/%s", async (path) => {
  await chmod(join(world.home, path), 0o777);
  expect(await codes({ launches: false })).toContain("program_writable");
});

test("with --fail-fast nothing is looked at after the first error", async () => {
  await contract("devices: [/dev/hardshare-no-such]\nterminate: [./missing.sh]\n");
  const found = await codes({ failFast: true });
  expect(found).toEqual(["not_offered", "program_unusable"]);
});

function isStep(event: CheckEvent, step: string): boolean {
  return event.kind === "progress" && event.text === `trial: ${step}`;
}
