import type { ReportBody } from "@hardshare/protocol";
import { ManualClock } from "@hardshare/runtime";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { TestHost } from "../../testing/test-host.ts";
import { startTestGround, type TestGround, type TestUser, TestWorld, USER_KEY } from "../../testing/test-world.fixture.ts";

let ground: TestGround;
let world: TestWorld;
let owner: TestUser;
beforeAll(async () => {
  ground = await startTestGround();
  world = await TestWorld.start(ground);
  await world.addHub();
  owner = await world.addUser("owner");
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

const up: ReportBody = { kind: "up", hostKeys: [] };
const ended = (more: Partial<Extract<ReportBody, { kind: "ended" }>> = {}): ReportBody => ({
  kind: "ended",
  reason: "user",
  clean: true,
  residue: [],
  ...more,
});

async function launch(host: TestHost, deploymentId: string, user = owner) {
  const { body, status, text } = await user.call("POST", `/new/${deploymentId}`, { sshkey: USER_KEY });
  expect(status, text).toBe(200);
  return host.until((desired) => {
    const instance = desired.get(deploymentId)?.instance;
    return instance?.instanceId === body.id && instance?.tunnel != null && instance;
  });
}

const stateOf = async (id: string) => (await owner.call("GET", `/instance/${id}`)).body.status as string;

test("whatever bytes a program printed, its log is recorded, and what no text can hold is replaced", async () => {
  const { host, deploymentId } = await world.addHost(owner);
  const wanted = await launch(host, deploymentId);
  const text = "core dumped: \0\ud83e \ud83e\udd16";
  await host.report(deploymentId, wanted, { kind: "log", step: "init", text });
  await host.report(
    deploymentId,
    wanted,
    ended({ reason: "init_failed", failedStep: "init", log: text, clean: false, residue: [text, "\ud83e\udd16".repeat(500)] }),
  );
  const { body } = await owner.call("GET", `/instance/${wanted.instanceId}`);
  expect(body).toMatchObject({ status: "INIT_FAIL", failed_log: "core dumped: \ufffd\ufffd \ud83e\udd16" });
});

test("a repeated report is acknowledged and does nothing again", async () => {
  const { host, deploymentId } = await world.addHost(owner);
  const wanted = await launch(host, deploymentId);
  await host.report(deploymentId, wanted, { kind: "notice", level: "alert", text: "hot" }, 1);
  await host.report(deploymentId, wanted, { kind: "notice", level: "alert", text: "hot" }, 1);
  const { body } = await owner.call("GET", "/hardshare/list");
  const listed = body.wdeployments.find((each: { id: string }) => each.id === deploymentId);
  expect(listed.alerts).toMatchObject([{ message: "hot" }]);
  expect(listed.instance).toMatchObject({ id: wanted.instanceId, user: "owner", status: "INIT" });
});

test("reports of another epoch, instance or host change nothing and are answered with the desired state", async () => {
  const { host, deploymentId } = await world.addHost(owner);
  const other = await world.addHost(owner);
  const wanted = await launch(host, deploymentId);
  const { instanceId, epoch } = wanted;
  for (const [from, stale] of [
    [host, { instanceId, epoch: epoch + 1 }],
    [host, { instanceId: "00000000-0000-4000-8000-000000000000", epoch }],
    [other.host, { instanceId, epoch }],
  ] as const) {
    await from.report(deploymentId, stale, ended());
    expect(await stateOf(instanceId)).toBe("INIT");
  }
  await host.report(deploymentId, wanted, up, 10);
  await world.untilState(owner, instanceId, "READY");
});

test("a launch is desired until the host answers, also when the host was away and remembers nothing", async () => {
  const { host, deploymentId, registered } = await world.addHost(owner);
  const wanted = await launch(host, deploymentId);
  await host.report(deploymentId, wanted, { kind: "accepted" }, 3);
  await host[Symbol.asyncDispose]();
  const back = registered.connect();
  expect(await back.untilWanted(deploymentId, "run")).toMatchObject({ instanceId: wanted.instanceId, epoch: 1, lastSequence: 3 });
  await back.report(deploymentId, wanted, ended({ reason: "host_restarted" }), 4);
  expect((await owner.call("GET", `/instance/${wanted.instanceId}`)).body).toMatchObject({
    status: "TERMINATED",
    end_reason: "host_restarted",
  });
});

test("an end with a number that another report had before is asked for once more: the row must not stay as it is", async () => {
  const { host, deploymentId } = await world.addHost(owner);
  const wanted = await launch(host, deploymentId);
  await host.report(deploymentId, wanted, { kind: "log", step: "terminate", text: "by the daemon before" }, 1_000_005);
  const before = host.desiredCount;
  await host.report(deploymentId, wanted, ended({ reason: "host_restarted" }), 1_000_002);
  expect(await stateOf(wanted.instanceId)).toBe("INIT");
  await host.until((all) => all.get(deploymentId)?.instance?.lastSequence === 1_000_005);
  expect(host.desiredCount).toBeGreaterThanOrEqual(before);
  await host.report(deploymentId, wanted, ended({ reason: "host_restarted" }), 1_000_006);
  expect(await stateOf(wanted.instanceId)).toBe("TERMINATED");
});

test("the epoch is raised above what a host has in its journal", async () => {
  const { host, deploymentId } = await world.addHost(owner, { highestEpoch: 41 });
  expect((await launch(host, deploymentId)).epoch).toBe(42);
});

test("an end that left something locks the deployment out in the same moment, and alerts", async () => {
  const { host, deploymentId } = await world.addHost(owner);
  const wanted = await launch(host, deploymentId);
  await owner.call("POST", `/terminate/${wanted.instanceId}`);
  await host.report(deploymentId, wanted, ended({ clean: false, residue: ["container abc"] }));
  expect(await stateOf(wanted.instanceId)).toBe("TERMINATED");
  const { body } = await owner.call("GET", `/deployment/${deploymentId}`);
  expect(body).toMatchObject({ lockout: true, lockout_info: { reason: "not clean after an instance: container abc" } });
  expect((await owner.call("POST", `/new/${deploymentId}`)).body.code).toBe("locked_out");
  await host.until((desired) => desired.get(deploymentId)?.lockout);
  expect((await owner.call("DELETE", `/deployment/${deploymentId}/lockout`)).status).toBe(200);
  await launch(host, deploymentId);
});

test("a lock-out that the host repeats is one lock-out, also after it was lifted", async () => {
  const { host, deploymentId } = await world.addHost(owner);
  await host.lockOut(deploymentId, "lock-1", "E-stop");
  // It comes before the acknowledgement, by which the host forgets that it locked out itself.
  expect(host.desired.get(deploymentId)?.lockout).toMatchObject({ reason: "E-stop" });
  await host.lockOut(deploymentId, "lock-1", "E-stop");
  expect((await owner.call("GET", `/deployment/${deploymentId}`)).body.lockout_info).toMatchObject({ reason: "E-stop", actor: "host" });
  await owner.call("DELETE", `/deployment/${deploymentId}/lockout`);
  await host.lockOut(deploymentId, "lock-1", "E-stop");
  expect((await owner.call("GET", `/deployment/${deploymentId}`)).body.lockout).toBeUndefined();
});

test("a host that locks a deployment of another is answered, and nothing is locked", async () => {
  const { deploymentId } = await world.addHost(owner);
  const other = await world.addHost(owner);
  await other.host.lockOut(deploymentId, "lock-2", "mischief");
  expect((await owner.call("GET", `/deployment/${deploymentId}`)).body.lockout).toBeUndefined();
});

test("a host that stays away past the deadline is given up on, with a lock-out that only its clean word or the owner lifts", async () => {
  const clock = new ManualClock(Date.now());
  await using late = await TestWorld.start(ground, { clock });
  await late.addHub();
  const admin = await late.admin();
  const { host, deploymentId, registered } = await late.addHost(admin);
  const wanted = await launch(host, deploymentId, admin);
  await host[Symbol.asyncDispose]();
  await late.moment(async () => (await admin.call("GET", `/deployment/${deploymentId}`)).body.online === false);

  const seen = async () => (await admin.call("GET", `/instance/${wanted.instanceId}`)).body;
  clock.advance(3600_000);
  await late.moment(async () => (await seen()).status === "TERMINATING");
  expect((await seen()).end_reason).toBe("expired");
  clock.advance(4999);
  expect((await seen()).status).toBe("TERMINATING");
  clock.advance(1);
  await late.moment(async () => (await seen()).status === "TERMINATED");
  expect((await seen()).end_reason).toBe("expired");
  const view = async () => (await admin.call("GET", `/deployment/${deploymentId}`)).body;
  expect((await view()).lockout_info).toMatchObject({ actor: "server", reason: expect.stringContaining("host not confirmed") });
  const [listed] = (await admin.call("GET", "/hardshare/list")).body.wdeployments;
  expect(listed.alerts).toHaveLength(1);
  const timeline = (await admin.call("GET", `/instance/${wanted.instanceId}/events`)).text;
  expect([...timeline.matchAll(/"kind":"(\w+)"/g)].map(([, kind]) => kind).slice(-2)).toEqual(["alert", "state"]);

  const back = registered.connect();
  await back.untilWanted(deploymentId, "end"); // it is asked, because it may have nothing else to say
  await back.report(deploymentId, wanted, { kind: "log", step: "terminate", text: "still at it" }, 7);
  expect((await view()).lockout).toBe(true);
  await back.report(deploymentId, wanted, ended({ reason: "expired" }), 8);
  expect((await view()).lockout).toBeUndefined();
});

test("a connected host that does not say that it let go is given up on after its own time and a minute", async () => {
  const clock = new ManualClock(Date.now());
  await using slow = await TestWorld.start(ground, { clock });
  await slow.addHub();
  const admin = await slow.admin();
  const { host, deploymentId } = await slow.addHost(admin, { endTimeoutS: 30 });
  const wanted = await launch(host, deploymentId, admin);
  await admin.call("POST", `/terminate/${wanted.instanceId}`);
  await host.untilWanted(deploymentId, "end");
  const state = async () => (await admin.call("GET", `/instance/${wanted.instanceId}`)).body.status;
  for (let second = 0; second < 89; second += 1) {
    clock.advance(1000);
    await host.describe(); // a sign of life: the connection stays
  }
  expect(await state()).toBe("TERMINATING");
  clock.advance(1000);
  await slow.moment(async () => (await state()) === "TERMINATED");
  expect((await admin.call("GET", `/deployment/${deploymentId}`)).body.online).toBe(true);
  // A clean word of another epoch lifts nothing; the owner does.
  await slow.moment(async () => (await admin.call("GET", `/deployment/${deploymentId}`)).body.lockout === true);
  expect((await admin.call("DELETE", `/deployment/${deploymentId}/lockout`)).status).toBe(200);
  expect((await admin.call("GET", `/deployment/${deploymentId}`)).body.lockout).toBeUndefined();
});
