import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import type { DeploymentId } from "@hardshare/protocol";
import { Deferred, systemClock } from "@hardshare/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import { HostWorld } from "../testing/host-world.fixture.ts";

/** Answers each line with the line; dies when told to. */
const ECHO = `import net from "node:net"; import { writeFileSync } from "node:fs";
writeFileSync("service-pid", String(process.pid));
const server = net.createServer((socket) => socket.on("data", (data) => {
  if (String(data).startsWith("die")) process.exit(7);
  socket.write("echo " + data);
}));
server.listen(0, "127.0.0.1", () => console.log("127.0.0.1:" + server.address().port));`;

const CONTRACT = `provider: proxy
services: [{ name: ROBOT, command: ${process.execPath} echo.mjs }]
init: [./init.sh]
terminate: [{ run: ./terminate.sh, timeout: 5 }]
safe_state: [./safe.sh]
`;

let world: HostWorld;
let robot: DeploymentId;

beforeEach(async () => {
  const made = await HostWorld.make([CONTRACT]);
  world = made.world;
  robot = made.deployments[0]!;
  await writeFile(join(world.home, "deployments", "echo.mjs"), ECHO);
  await world.script("init.sh", "echo arming");
  await world.script("terminate.sh", 'echo "$HARDSHARE_INSTANCE" >> ended');
  await world.script("safe.sh", "echo safe >> made-safe");
});
afterEach(() => world[Symbol.asyncDispose]());

const beside = (name: string) => readFile(join(world.home, "deployments", name), "utf8").catch(() => "");

/** Settles when a stream was closed, however. */
function closed(stream: Duplex): Promise<void> {
  stream.on("error", () => {}).resume();
  return new Promise((resolve) => stream.once("close", resolve));
}

test("from the moment of its end nothing passes, before any step of the end is done", async () => {
  await world.start();
  const instance = world.launch(robot);
  await world.server.report(instance.instanceId, "up");
  const stream = await world.server.open(instance.instanceId);
  const cut = closed(stream);
  const goOn = new Deferred();
  world.failpoints.actions.set("host.end.filters.before", () => goOn.promise);
  world.end(robot, instance);
  await cut;
  await expect(world.server.open(instance.instanceId).then(closed)).rejects.toThrow();
  goOn.resolve();
  await world.server.report(instance.instanceId, "ended");
});

test("a proxy instance is launched step by step, reached through the tunnel, and ended with nothing left", async () => {
  await world.start();
  const instance = world.launch(robot);
  const { instanceId } = instance;
  await world.server.report(instanceId, "up");
  expect(world.server.reports(instanceId).map(({ body }) => (body.kind === "step" ? `${body.step} ${body.phase}` : body.kind))).toEqual([
    "accepted",
    "filters started",
    "filters done",
    "init started",
    "log",
    "init done",
    "tunnel started",
    "tunnel done",
    "up",
  ]);
  const stream = await world.server.open(instanceId);
  stream.write("hello");
  expect(String((await once(stream, "data"))[0])).toBe("echo hello");
  expect(world.daemon?.status().deployments[0]).toMatchObject({
    isAdvertised: true,
    problem: null,
    instance: { id: instanceId, phase: "up", user: "bob" },
  });
  const cut = closed(stream);
  world.end(robot, instance);
  await cut;
  expect(await world.server.report(instanceId, "ended")).toEqual({ kind: "ended", reason: "user", clean: true, residue: [] });
  expect(await beside("ended")).toBe(`${instanceId}\n`);
  await world.server.until(() => world.server.forwards(instanceId).length === 0 || undefined);
  const again = world.launch(robot);
  await world.server.report(again.instanceId, "up");
});

test("an instance waits for the hub's address, and a failing init program ends it with the step's name and last lines", async () => {
  await world.script("init.sh", "echo no power >&2; exit 4");
  await world.start();
  const { instanceId } = world.launch(robot, { isTargetKnown: false });
  const ended = await world.server.report(instanceId, "ended");
  expect(ended).toMatchObject({ reason: "init_failed", failedStep: "init", clean: true });
  expect(ended.log).toContain("./init.sh ended with exit code 4");
  expect(ended.log).toContain("no power");
  expect(await beside("ended")).toBe(`${instanceId}\n`);
});

test("`on_fail` decides: warn goes on, lock locks the deployment out", async () => {
  await world.script("init.sh", "exit 1");
  await writeFile(world.contractFile(robot), CONTRACT.replace("[./init.sh]", "[{ run: ./init.sh, on_fail: warn }]"));
  await world.start();
  const warned = world.launch(robot);
  await world.server.report(warned.instanceId, "up");
  expect(await world.server.report(warned.instanceId, "notice")).toMatchObject({
    level: "warning",
    text: expect.stringContaining("exit code 1"),
  });
  world.end(robot, warned);
  await world.server.report(warned.instanceId, "ended");
  await writeFile(world.contractFile(robot), CONTRACT.replace("[./init.sh]", "[{ run: ./init.sh, on_fail: lock }]"));
  const { reloadFiles } = await import("./control-client.ts");
  await reloadFiles({ state: world.state });
  const locking = world.launch(robot);
  expect(await world.server.report(locking.instanceId, "ended")).toMatchObject({ failedStep: "init", clean: true });
  expect(world.server.heard.findIndex((each) => each.type === "lockout")).toBeLessThan(
    world.server.heard.findIndex((each) => each.type === "report" && each.instanceId === locking.instanceId && each.body.kind === "ended"),
  );
});

test("a failing terminate program locks the deployment out before the end is reported, and no launch is accepted until the server knows", async () => {
  await world.script("terminate.sh", "exit 2");
  await world.start();
  world.server.isAcknowledging = false;
  const instance = world.launch(robot);
  await world.server.report(instance.instanceId, "up");
  world.end(robot, instance);
  const ended = await world.server.report(instance.instanceId, "ended");
  expect(ended).toMatchObject({ clean: false, residue: [expect.stringContaining("terminate: ./terminate.sh ended with exit code 2")] });
  const lockout = world.server.heard.findIndex((each) => each.type === "lockout");
  expect(lockout).toBeGreaterThan(-1);
  expect(lockout).toBeLessThan(world.server.heard.findIndex((each) => each.type === "report" && each.body.kind === "ended"));
  const refused = world.launch(robot);
  expect(await world.server.report(refused.instanceId, "ended")).toMatchObject({
    reason: "init_failed",
    log: expect.stringContaining("locked out"),
  });
});

test("a deployment whose baseline fails is locked out; it is asked after all else, and `warn` is its owner's waiver, told on the timeline", async () => {
  await world.script("is-clean.sh", 'tail -n 1 ended; echo "the bench is not clear"; exit 3');
  const write = (entry: string) => writeFile(world.contractFile(robot), `${CONTRACT}baseline: [${entry}]\n`);
  await write("{ run: ./is-clean.sh, on_fail: warn }");
  await world.start();
  const warned = world.launch(robot);
  await world.server.report(warned.instanceId, "up");
  world.end(robot, warned);
  expect(await world.server.report(warned.instanceId, "ended")).toMatchObject({ clean: true, residue: [] });
  const { text } = await world.server.report(warned.instanceId, "notice", (body) => body.level === "warning");
  expect(text).toContain("baseline: ./is-clean.sh ended with exit code 3; the deployment is not locked out, because");
  expect(text).toContain(`${warned.instanceId}\nthe bench is not clear`); // its terminate program had run before
  expect(world.server.heard.filter((each) => each.type === "lockout")).toEqual([]);
  await write("./is-clean.sh");
  const { reloadFiles } = await import("./control-client.ts");
  await reloadFiles({ state: world.state });
  const locking = world.launch(robot);
  await world.server.report(locking.instanceId, "up");
  world.end(robot, locking);
  const problem = "baseline: ./is-clean.sh ended with exit code 3";
  expect(await world.server.report(locking.instanceId, "ended")).toMatchObject({ clean: false, residue: [problem] });
  expect(world.server.heard.find((each) => each.type === "lockout")).toMatchObject({ reason: expect.stringContaining(problem) });
});

test("cancelling during a running init program kills it and ends the instance", async () => {
  await world.script("init.sh", "echo $$ > pid; echo waiting; exec sleep 60");
  await world.start();
  const instance = world.launch(robot);
  await world.server.report(instance.instanceId, "log");
  world.end(robot, instance);
  expect(await world.server.report(instance.instanceId, "ended")).toEqual({ kind: "ended", reason: "user", clean: true, residue: [] });
  expect(await readFile(`/proc/${(await beside("pid")).trim()}/cmdline`, "utf8").catch(() => "gone")).toBe("gone");
  expect(await beside("ended")).not.toBe("");
});

test("when the filter dies its connections are cut, the hardware is made safe once, and the filter runs again", async () => {
  await world.start();
  const { instanceId } = world.launch(robot);
  await world.server.report(instanceId, "up");
  const stream = await world.server.open(instanceId);
  const cut = closed(stream);
  stream.write("die");
  await cut;
  expect(await world.server.report(instanceId, "notice", (body) => body.level === "alert")).toMatchObject({
    text: expect.stringContaining("nothing passes"),
  });
  expect(world.daemon?.status().deployments[0]?.alerts).toMatchObject([{ message: expect.stringContaining("nothing passes") }]);
  await world.server.report(instanceId, "step", (body) => body.step === "safe_state" && body.phase === "done");
  await world.server.report(instanceId, "notice", (body) => body.text === "service ROBOT runs again");
  expect(await beside("made-safe")).toBe("safe\n");
  const again = await world.server.open(instanceId);
  again.write("hello");
  expect(String((await once(again, "data"))[0])).toBe("echo hello");
});

test("a filter that runs again lets nothing pass before the hardware is safe", async () => {
  await world.script("safe.sh", "until [ -e go-on ]; do sleep 0.05; done");
  await world.start();
  const { instanceId } = world.launch(robot);
  await world.server.report(instanceId, "up");
  const stream = await world.server.open(instanceId);
  const cut = closed(stream);
  stream.write("die");
  await cut;
  await world.server.report(instanceId, "notice", (body) => body.text === "service ROBOT runs again");
  await expect(world.server.open(instanceId)).rejects.toMatchObject({ code: "connection_lost" });
  await world.script("go-on", "");
  await world.server.report(instanceId, "step", (body) => body.step === "safe_state" && body.phase === "done");
  const again = await world.server.open(instanceId);
  again.write("hello");
  expect(String((await once(again, "data"))[0])).toBe("echo hello");
});

test("a filter that dies before READY fails the launch: what prepares the hardware is stopped first, then it is made safe", async () => {
  await world.script("init.sh", "trap 'echo stopped >> made-safe; exit 1' TERM; echo waiting; while :; do sleep 0.05; done");
  await world.start();
  const { instanceId } = world.launch(robot);
  await world.server.report(instanceId, "log");
  process.kill(Number(await beside("service-pid")), "SIGKILL");
  const ended = await world.server.report(instanceId, "ended");
  expect(ended).toMatchObject({ reason: "init_failed", failedStep: "filters", log: expect.stringContaining("SIGKILL"), clean: true });
  expect(await beside("made-safe")).toBe("stopped\nsafe\n");
  expect(await beside("ended")).toBe(`${instanceId}\n`);
  expect(world.server.reports(instanceId).some(({ body }) => body.kind === "up")).toBe(false);
});

test("programs that make the hardware safe run to their end before the end is reported, also without terminate programs", async () => {
  await world.script("safe.sh", "echo moving; sleep 1; echo safe >> made-safe");
  await writeFile(world.contractFile(robot), CONTRACT.replace(/^terminate.*\n/m, ""));
  await world.start();
  const instance = world.launch(robot);
  await world.server.report(instance.instanceId, "up");
  const stream = await world.server.open(instance.instanceId);
  stream.on("error", () => {}).resume();
  stream.write("die");
  await world.server.report(instance.instanceId, "log", (body) => body.step === "safe_state");
  world.end(robot, instance);
  expect(await world.server.report(instance.instanceId, "ended")).toMatchObject({ clean: true });
  expect(await beside("made-safe")).toBe("safe\n");
  expect(world.server.heard.filter((each) => each.type === "lockout")).toEqual([]);
});

test("when the hardware cannot be made safe the deployment is locked out and the instance ends", async () => {
  await world.script("safe.sh", "exit 1");
  await world.start();
  const { instanceId } = world.launch(robot);
  await world.server.report(instanceId, "up");
  const stream = await world.server.open(instanceId);
  stream.on("error", () => {}).resume();
  stream.write("die");
  expect(await world.server.report(instanceId, "ended")).toMatchObject({ reason: "filter_lost" });
  expect(world.server.heard.find((each) => each.type === "lockout")).toMatchObject({ reason: expect.stringContaining("safe_state") });
});

test("after a fault of the daemon all that can be undone is, and the deployment is locked out", async () => {
  let faults = 0;
  const monotonicMs = () => {
    if (faults-- > 0) throw new Error("a fault");
    return systemClock.monotonicMs();
  };
  world.failpoints.actions.set("host.launch.init.after", () => void (faults = 2));
  await world.start({ clock: { ...systemClock, monotonicMs } });
  const { instanceId } = world.launch(robot);
  expect(await world.server.report(instanceId, "ended")).toMatchObject({ clean: false, residue: ["internal: a fault"] });
  expect(await beside("ended")).toBe(`${instanceId}\n`);
  await expect(readFile(`/proc/${await beside("service-pid")}/stat`)).rejects.toThrow("ENOENT");
  expect(world.server.heard.find((each) => each.type === "lockout")).toMatchObject({ reason: expect.stringContaining("a fault") });
});

test("the deadline is kept without the server", async () => {
  let aheadMs = 0;
  await world.start({ clock: { ...systemClock, now: () => Date.now() + aheadMs } });
  const instance = world.launch(robot, { forMs: 600_000 });
  await world.server.report(instance.instanceId, "up");
  world.server.disconnect();
  aheadMs = 600_000;
  expect(await world.server.report(instance.instanceId, "ended")).toMatchObject({ reason: "expired", clean: true });
});

test("an epoch is never launched again, and an end of one that never began is answered", async () => {
  await world.start();
  const first = world.launch(robot);
  await world.server.report(first.instanceId, "up");
  world.end(robot, first);
  await world.server.report(first.instanceId, "ended");
  world.server.tell(robot, first);
  await world.server.until(
    () => world.server.reports(first.instanceId).filter(({ body }) => body.kind === "ended").length > 1 || undefined,
  );
  const never = { ...world.launch(robot), want: "end" as const };
  const later = { ...never, epoch: 9, instanceId: crypto.randomUUID() as typeof never.instanceId };
  world.server.tell(robot, later);
  expect(await world.server.report(later.instanceId, "ended")).toMatchObject({ clean: true });
  expect(world.server.reports(first.instanceId).filter(({ body }) => body.kind === "accepted")).toHaveLength(1);
});

test("reports are sent again after the channel broke, until they are recorded", async () => {
  await world.start();
  world.server.isAcknowledging = false;
  const instance = world.launch(robot);
  await world.server.report(instance.instanceId, "up");
  const before = world.server.heard.length;
  world.server.isAcknowledging = true;
  world.server.disconnect();
  await world.server.until(
    () => world.server.heard.slice(before).some((each) => each.type === "report" && each.body.kind === "up") || undefined,
  );
});

test("what runs and is not desired ends", async () => {
  await world.start();
  const { instanceId } = world.launch(robot);
  await world.server.report(instanceId, "up");
  world.server.tell(robot, null);
  expect(await world.server.report(instanceId, "ended")).toMatchObject({ reason: "not_desired", clean: true });
});
