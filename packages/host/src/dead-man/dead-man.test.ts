/** The dead-man's switch of a running instance, with real programs. */
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { type DeploymentId, type DesiredInstance, heartbeatTranscript } from "@hardshare/protocol";
import { generateIdentity, signWith } from "@hardshare/wire/ssh";
import { afterEach, beforeEach, expect, test } from "vitest";
import { HostWorld } from "../testing/host-world.fixture.ts";

/** Answers each line, and says after each that it has judged a message, as filters do; also that it cut all connections. */
const FILTER = `import net from "node:net"; import { appendFileSync } from "node:fs";
let judged = 0;
const say = (report) => console.error(JSON.stringify({ at: new Date().toISOString(), ...report }));
const pulse = () => say({ type: "pulse", judged: { in: judged, out: 0, blocked: 0 } });
setInterval(pulse, 500);
const server = net.createServer((socket) => socket.on("data", (data) => { judged += 1; socket.write("echo " + data); pulse(); }).on("error", () => {}));
const address = () => "127.0.0.1:" + server.address().port;
process.on("SIGUSR2", () => { appendFileSync("did", "cut\\n"); say({ type: "cut", address: address() }); });
server.listen(0, "127.0.0.1", () => console.log(address()));`;

const CONTRACT = `provider: proxy
services: [{ name: ROBOT, command: ${process.execPath} filter.mjs }]
safe_state: [./safe.sh]
dead_man: 1s
`;

let world: HostWorld;
let robot: DeploymentId;
const user = generateIdentity("user");

beforeEach(async () => {
  const made = await HostWorld.make([CONTRACT]);
  world = made.world;
  robot = made.deployments[0]!;
  await writeFile(join(world.home, "deployments", "filter.mjs"), FILTER);
  await world.script("safe.sh", "echo safe >> did");
});
afterEach(() => world[Symbol.asyncDispose]());

const did = () => readFile(join(world.home, "deployments", "did"), "utf8").catch(() => "");
const safe = { kind: "step", phase: "done" } as const;

async function launch(): Promise<DesiredInstance> {
  await world.start();
  const instance = world.launch(robot, { keys: [user.publicKey] });
  await world.server.report(instance.instanceId, "up");
  return instance;
}

async function say(stream: Duplex): Promise<void> {
  stream.write("hello");
  expect(String((await once(stream, "data"))[0])).toBe("echo hello");
}

function closed(stream: Duplex): Promise<void> {
  stream.on("error", () => {}).resume();
  return new Promise((resolve) => stream.once("close", resolve));
}

const untilSafe = (instanceId: string) =>
  world.server.report(instanceId, "step", ({ step, phase }) => step === "safe_state" && phase === safe.phase);
const alerts = (instanceId: string) =>
  world.server.reports(instanceId).filter(({ body }) => body.kind === "notice" && body.level === "alert").length;

test("after the first message a silence cuts the connections and makes the robot safe; then messages pass again and arm it anew", async () => {
  const { instanceId } = await launch();
  expect(await world.server.report(instanceId, "notice")).toMatchObject({ level: "warning", text: expect.stringContaining("1s") });
  for (const round of [1, 2]) {
    const stream = await world.server.open(instanceId);
    await say(stream);
    await closed(stream);
    await world.server.until(() => (alerts(instanceId) === round ? true : undefined));
    await world.server.until(
      () =>
        world.server.reports(instanceId).filter(({ body }) => body.kind === "notice" && body.text.includes("messages pass again"))
          .length === round || undefined,
    );
  }
  expect(await did()).toBe("cut\nsafe\ncut\nsafe\n");
  expect(world.daemon?.status().deployments[0]?.instance).toMatchObject({ phase: "up" });
});

test("it needs no server, and is not armed before the first message", async () => {
  const { instanceId } = await launch();
  const stream = await world.server.open(instanceId);
  world.server.disconnect();
  await say(stream);
  await closed(stream);
  await untilSafe(instanceId);
  expect(await did()).toBe("cut\nsafe\n");
});

test("signed heartbeats keep it from firing; forged ones do not", async () => {
  const { instanceId, epoch } = await launch();
  const stream = await world.server.open(instanceId);
  await say(stream);
  const beat = (key: string) => {
    const at = performance.now();
    const signature = signWith(key, heartbeatTranscript(instanceId, epoch, at));
    world.server.send({ type: "heartbeat", deploymentId: robot, instanceId, epoch, at, signature });
  };
  let count = 0;
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      beat(user.privateKey);
      if ((count += 1) < 15) return;
      clearInterval(timer);
      resolve();
    }, 200);
  });
  expect(alerts(instanceId)).toBe(0);
  expect(stream.destroyed).toBe(false);
  const stranger = generateIdentity("stranger").privateKey;
  const forging = setInterval(() => beat(stranger), 100);
  await closed(stream);
  clearInterval(forging);
  await untilSafe(instanceId);
});

test("when the robot cannot be made safe the deployment is locked out and the instance ends", async () => {
  await world.script("safe.sh", "exit 5");
  const { instanceId } = await launch();
  await say(await world.server.open(instanceId).then((stream) => stream.on("error", () => {})));
  expect(await world.server.report(instanceId, "ended")).toMatchObject({ reason: "dead_man" });
  expect(world.server.heard.find((each) => each.type === "lockout")).toMatchObject({
    reason: expect.stringContaining("dead-man's switch"),
  });
});
