import type { ReportBody } from "@hardshare/protocol";
import { ManualClock } from "@hardshare/runtime";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { TestHub } from "./testing/test-hub.ts";
import type { TestHost } from "./testing/test-host.ts";
import { startTestGround, type TestGround, type TestUser, TestWorld, USER_KEY } from "./testing/test-world.fixture.ts";

let ground: TestGround;
let world: TestWorld;
let hub: TestHub;
let owner: TestUser;
beforeAll(async () => {
  ground = await startTestGround();
  world = await TestWorld.start(ground);
  hub = await world.addHub();
  owner = await world.addUser("owner");
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

/** Launches and waits until the host knows what to do, its tunnel's target included. */
async function launch(user: TestUser, host: TestHost, deploymentId: string, options: object = {}) {
  const launched = await user.call("POST", `/new/${deploymentId}`, { sshkey: USER_KEY, ...options });
  expect(launched.status, launched.text).toBe(200);
  const wanted = await host.until((desired) => {
    const instance = desired.get(deploymentId)?.instance;
    return instance?.instanceId === launched.body.id && instance?.tunnel != null && instance;
  });
  return { id: launched.body.id as string, wanted };
}

const cleanEnd: ReportBody = { kind: "ended", reason: "user", clean: true, residue: [] };

test("an instance goes from launch to READY to TERMINATED, with hub, host and user seeing what they should", async () => {
  const { host, deploymentId } = await world.addHost(owner);
  const { id, wanted } = await launch(owner, host, deploymentId, { reserve: false });

  const endpoint = await hub.until((endpoints) => endpoints.get(id));
  expect(endpoint).toMatchObject({ epoch: 1, deploymentId, userKeys: [USER_KEY], firewall: null, probe: "banner" });
  expect(wanted).toMatchObject({ instanceId: id, epoch: 1, want: "run", user: "owner", publicKeys: [USER_KEY], lastSequence: 0 });
  expect(wanted.tunnel).toMatchObject({ host: "127.0.0.1", port: 8422, username: `h-${id}`, connections: 4 });
  expect(wanted.remainingMs).toBeGreaterThan(3_590_000);

  await host.report(deploymentId, wanted, { kind: "accepted" });
  await host.report(deploymentId, wanted, { kind: "step", step: "container", phase: "done", ms: 12 });
  await host.report(deploymentId, wanted, { kind: "up", hostKeys: ["ssh-ed25519 AAAA container"] });
  await world.untilState(owner, id, "READY");
  const ready = await owner.call("GET", `/instance/${id}`);
  expect(ready.body).toMatchObject({
    id,
    deployment: deploymentId,
    status: "READY",
    rootuser: "owner",
    epoch: 1,
    fwd: { ipv4: "127.0.0.1", port: endpoint.publicPort },
    hostkeys: ["ssh-ed25519 AAAA container"],
    hub: { host: "127.0.0.1", ssh_port: 8422 },
    wdinfo: { instance: id, online: true, queuelen: 1, holder: { user: "owner" } },
  });
  expect(ready.body.expires).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?$/);
  expect((await owner.call("GET", `/instance/${id}/sshkey`)).body.error_message).toBe("no secret SSH key available");

  expect(await owner.call("POST", `/terminate/${id}`)).toMatchObject({ status: 200, text: "" });
  await hub.moments.until(() => hub.closed.includes(id));
  const ending = await host.untilWanted(deploymentId, "end");
  expect(ending).toMatchObject({ instanceId: id, reason: "user" });
  expect((await owner.call("POST", `/terminate/${id}`)).body.error_message).toBe("instance already terminating");
  await host.report(deploymentId, ending, cleanEnd);
  const ended = await owner.call("GET", `/instance/${id}`);
  expect(ended.body).toMatchObject({ status: "TERMINATED", end_reason: "user", wdinfo: { holder: null, icounter: 1 } });
  expect(ended.body.fwd).toBeUndefined();
  await host.until((desired) => desired.get(deploymentId)?.instance === null);
  expect((await owner.call("POST", `/terminate/${id}`)).body.error_message).toBe("instance already terminated");
});

test("of two users who launch at the same time a hundred times, exactly one wins each time and the other is told busy", async () => {
  const { host, deploymentId } = await world.addHost(owner, { provider: "proxy", publicPort: false });
  const guest = await world.addUser("second");
  await owner.call("POST", `/deployment/${deploymentId}/rule`, { cap: "CAP_INSTANTIATE", user: "second" });
  for (let round = 1; round <= 100; round += 1) {
    const answers = await Promise.all([owner, guest].map((user) => user.call("POST", `/new/${deploymentId}`, { sshkey: USER_KEY })));
    expect(answers.map((answer) => answer.status).sort((a, b) => a - b)).toEqual([200, 503]);
    const [won, lost] = answers[0]?.status === 200 ? answers : answers.toReversed();
    expect(lost?.body).toMatchObject({ code: "busy", result_message: "All matching workspace deployments are busy. Try again later." });
    const winner = won === answers[0] ? owner : guest;
    const instance = { instanceId: won?.body.id, epoch: round };
    await winner.call("POST", `/terminate/${won?.body.id}`);
    await host.report(deploymentId, instance, cleanEnd);
  }
}, 60_000);

test("a launch can be cancelled in INIT; the row is held until the host let go", async () => {
  const { host, deploymentId } = await world.addHost(owner);
  const { id, wanted } = await launch(owner, host, deploymentId);
  expect((await owner.call("POST", `/terminate/${id}`)).status).toBe(200);
  await host.untilWanted(deploymentId, "end");
  expect((await owner.call("POST", `/new/${deploymentId}`, { sshkey: USER_KEY })).body.code).toBe("busy");
  // A READY that was under way changes nothing.
  await host.report(deploymentId, wanted, { kind: "up", hostKeys: [] });
  expect((await owner.call("GET", `/instance/${id}`)).body.status).toBe("TERMINATING");
  await host.report(deploymentId, wanted, cleanEnd);
  expect((await owner.call("GET", `/instance/${id}`)).body.status).toBe("TERMINATED");
  expect((await launch(owner, host, deploymentId)).wanted.epoch).toBe(2);
});

test("a failed launch step ends in INIT_FAIL with the step's name and its last lines", async () => {
  const { host, deploymentId } = await world.addHost(owner);
  const { id, wanted } = await launch(owner, host, deploymentId);
  await host.report(deploymentId, wanted, {
    kind: "ended",
    reason: "init_failed",
    failedStep: "init 1",
    log: "no such device",
    clean: true,
    residue: [],
  });
  const { body } = await owner.call("GET", `/instance/${id}`);
  expect(body).toMatchObject({ status: "INIT_FAIL", end_reason: "init_failed", failed_step: "init 1", failed_log: "no such device" });
  expect((await owner.call("POST", `/terminate/${id}`)).body.error_message).toBe("cannot terminate instance that is init_fail");
  const [without, withFailed] = await Promise.all(
    ["", "?include_init_fail"].map((query) => owner.call("GET", `/instances${query}`).then((answer) => answer.body.workspace_instances)),
  );
  expect(without).not.toContain(id);
  expect(withFailed).toContain(id);
});

test("what filters decide and carry is on the timeline; what a newer host says is acknowledged, and changes nothing", async () => {
  const { host, deploymentId } = await world.addHost(owner);
  const { id, wanted } = await launch(owner, host, deploymentId);
  const at = "2026-01-01T00:00:00.000Z";
  const decision = { at, filter: "http", direction: "in", rule: "default", decision: "block", mode: "enforce", summary: "GET /" } as const;
  await host.report(deploymentId, wanted, { kind: "filter", service: "ROBOT", decision: { type: "decision", ...decision }, missed: 4 });
  await host.report(deploymentId, wanted, { kind: "tap", service: "ROBOT", direction: "out", sizeBytes: 3, excerpt: "ok⏎" });
  await host.report(deploymentId, wanted, { kind: "weather", degrees: 21 } as never);
  await host.report(deploymentId, wanted, { kind: "traffic", service: "ROBOT", bytes: { in: 1, out: 2 } });
  await host.report(deploymentId, wanted, cleanEnd);
  const { text } = await owner.call("GET", `/instance/${id}/events`);
  const events = [...text.matchAll(/^data: (\{.*\})$/gm)].map(([, json]) => JSON.parse(json ?? "") as { kind: string; data: object });
  expect(events.filter(({ kind }) => ["filter", "tap", "traffic", "weather", "later"].includes(kind))).toMatchObject([
    { kind: "filter", data: { service: "ROBOT", ...decision, missed: 4 } },
    { kind: "tap", data: { service: "ROBOT", direction: "out", sizeBytes: 3, excerpt: "ok⏎" } },
    { kind: "traffic", data: { service: "ROBOT", bytes: { in: 1, out: 2 } } },
  ]);
});

test("a container that dies while READY ends the instance", async () => {
  const { host, deploymentId } = await world.addHost(owner);
  const { id, wanted } = await launch(owner, host, deploymentId);
  await host.report(deploymentId, wanted, { kind: "up", hostKeys: [] });
  await world.untilState(owner, id, "READY");
  await host.report(deploymentId, wanted, { kind: "ended", reason: "container_died", clean: true, residue: [] });
  expect((await owner.call("GET", `/instance/${id}`)).body).toMatchObject({ status: "TERMINATED", end_reason: "container_died" });
});

test("the owner ends an instance of a user, and sees it; strangers do not", async () => {
  const { host, deploymentId } = await world.addHost(owner);
  const user = await world.addUser("visitor");
  const stranger = await world.addUser("stranger");
  await owner.call("POST", `/deployment/${deploymentId}/rule`, { cap: "CAP_INSTANTIATE" });
  const { id, wanted } = await launch(user, host, deploymentId);
  expect((await owner.call("GET", `/instance/${id}`)).body.rootuser).toBe("visitor");
  for (const [method, path] of [
    ["GET", `/instance/${id}`],
    ["GET", `/instance/${id}/events`],
    ["GET", `/instance/${id}/sshkey`],
    ["POST", `/terminate/${id}`],
    ["POST", `/hardshare/terminate/${id}`],
    ["GET", `/firewall/${id}`],
  ] as const) {
    expect(await stranger.call(method, path), path).toMatchObject({ status: 404, body: { error_message: "instance not found" } });
  }
  expect((await user.call("POST", `/hardshare/terminate/${id}`)).status).toBe(404);
  expect((await owner.call("POST", `/hardshare/terminate/${id}`)).status).toBe(200);
  expect((await host.untilWanted(deploymentId, "end")).reason).toBe("owner");
  await host.report(deploymentId, wanted, cleanEnd);
});

test("who is the owner, or a superuser, and also the user may end the instance in either role", async () => {
  const admin = await world.admin();
  const reasonOf = async (user: TestUser, path: string) => {
    const { host, deploymentId } = await world.addHost(owner);
    await owner.call("POST", `/deployment/${deploymentId}/rule`, { cap: "CAP_INSTANTIATE" });
    const { id, wanted } = await launch(user, host, deploymentId);
    expect((await user.call("POST", `${path}/${id}`)).status).toBe(200);
    const { reason } = await host.untilWanted(deploymentId, "end");
    await host.report(deploymentId, wanted, cleanEnd);
    return reason;
  };
  expect(await reasonOf(owner, "/hardshare/terminate")).toBe("owner");
  expect(await reasonOf(owner, "/terminate")).toBe("user");
  expect(await reasonOf(admin, "/hardshare/terminate")).toBe("owner");
});

test("without a public key the server makes one, tells it as existing clients expect, and erases it at the end", async () => {
  const { host, deploymentId } = await world.addHost(owner);
  const { body } = await owner.call("POST", `/new/${deploymentId}`, '{"reserve": false}');
  expect(body.sshkey).toContain("BEGIN RSA PRIVATE KEY");
  const wanted = await host.untilWanted(deploymentId, "run");
  expect(wanted.publicKeys[0]).toMatch(/^ssh-rsa /);
  expect((await owner.call("GET", `/instance/${body.id}/sshkey`)).body).toEqual({ key: body.sshkey });
  await owner.call("POST", `/terminate/${body.id}`);
  expect((await owner.call("GET", `/instance/${body.id}/sshkey`)).body.error_message).toBe("instance already terminating");
  await host.report(deploymentId, wanted, cleanEnd);

  const silent = await owner.call("POST", `/new/${deploymentId}`);
  expect(silent.body.sshkey).toBeUndefined();
  await owner.call("POST", `/terminate/${silent.body.id}`);
});

test("a port that a stranger holds is exchanged for another, still in INIT", async () => {
  const { host, deploymentId } = await world.addHost(owner);
  const tried: (number | null)[] = [];
  hub.answer = (endpoint) => {
    tried.push(endpoint.publicPort);
    return tried.length < 3 ? ["port_taken"] : ["open", "probed"];
  };
  const { id, wanted } = await launch(owner, host, deploymentId);
  hub.answer = () => ["open", "probed"];
  expect(new Set(tried).size).toBe(3);
  await host.report(deploymentId, wanted, { kind: "up", hostKeys: [] });
  await world.untilState(owner, id, "READY");
  expect((await owner.call("GET", `/instance/${id}`)).body.fwd.port).toBe(tried[2]);
});

test("what a hub says of a port that is given up proves nothing of the one that took its place", async () => {
  const { host, deploymentId } = await world.addHost(owner);
  hub.answer = () => [];
  const { body } = await owner.call("POST", `/new/${deploymentId}`, { sshkey: USER_KEY });
  const first = await hub.until((endpoints) => endpoints.get(body.id));
  const wanted = await host.until((desired) => desired.get(deploymentId)?.instance);
  await host.report(deploymentId, wanted, { kind: "up", hostKeys: [] });
  hub.report(first, "port_taken");
  const second = await hub.until((endpoints) => {
    const endpoint = endpoints.get(body.id);
    return endpoint?.publicPort !== first.publicPort && endpoint;
  });
  for (const status of ["open", "probed", "port_taken"] as const) hub.report(first, status);
  hub.report(second, "open");
  await host.until((desired) => desired.get(deploymentId)?.instance?.tunnel);
  expect((await owner.call("GET", `/instance/${body.id}`)).body.status).toBe("INIT");
  hub.report(second, "probed");
  await world.untilState(owner, body.id, "READY");
  hub.answer = () => ["open", "probed"];
  expect((await owner.call("GET", `/instance/${body.id}`)).body.fwd.port).toBe(second.publicPort);
});

test("a launch for which the hub can bind no port ends with the name of that step", async () => {
  await using narrow = await TestWorld.start(ground);
  const admin = await narrow.admin();
  const onePort = await narrow.addHub({ firstPort: 22_000, lastPort: 22_000 });
  onePort.answer = () => ["port_taken"];
  const { host, deploymentId } = await narrow.addHost(admin);
  const { body } = await admin.call("POST", `/new/${deploymentId}`, { sshkey: USER_KEY });
  const wanted = await host.untilWanted(deploymentId, "end");
  await host.report(deploymentId, wanted, { kind: "ended", reason: "init_failed", clean: true, residue: [] });
  await narrow.untilState(admin, body.id, "TERMINATED");
  expect((await admin.call("GET", `/instance/${body.id}`)).body).toMatchObject({
    end_reason: "init_failed",
    failed_step: "endpoint",
    failed_log: "the hub has no public port that it can bind",
  });
});

test("a launch whose epoch the hub has had before the store went back to a backup ends at once, and the next one gets a higher epoch", async () => {
  const { host, deploymentId } = await world.addHost(owner);
  hub.answer = () => [];
  const { body } = await owner.call("POST", `/new/${deploymentId}`, { sshkey: USER_KEY });
  const endpoint = await hub.until((endpoints) => endpoints.get(body.id));
  hub.report(endpoint, "closed", { highestEpoch: 7 });
  const wanted = await host.untilWanted(deploymentId, "end");
  await host.report(deploymentId, wanted, { kind: "ended", reason: "init_failed", clean: true, residue: [] });
  await world.untilState(owner, body.id, "TERMINATED");
  expect((await owner.call("GET", `/instance/${body.id}`)).body).toMatchObject({
    failed_step: "endpoint",
    failed_log: expect.stringContaining("launch again"),
  });
  hub.answer = () => ["open", "probed"];
  expect((await launch(owner, host, deploymentId)).wanted.epoch).toBe(8);
});

test("a launch takes at most the owner's time, by default all of it", async () => {
  const { host, deploymentId } = await world.addHost(owner, { maxDurationS: 600 });
  const tooLong = await owner.call("POST", `/new/${deploymentId}`, { sshkey: USER_KEY, expire_d: 601 });
  expect(tooLong).toMatchObject({ status: 400, body: { code: "bad_input", details: { field: "expire_d", expected: "at most 600" } } });
  const { wanted } = await launch(owner, host, deploymentId);
  expect(wanted.remainingMs).toBeGreaterThan(590_000);
  expect(wanted.remainingMs).toBeLessThanOrEqual(600_000);
});

test("an instance ends at its deadline, not before", async () => {
  const clock = new ManualClock(Date.now());
  await using timed = await TestWorld.start(ground, { clock });
  await timed.addHub();
  const admin = await timed.admin();
  const { host, deploymentId } = await timed.addHost(admin);
  const { id, wanted } = await launch(admin, host, deploymentId, { expire_d: 2 });
  await host.report(deploymentId, wanted, { kind: "up", hostKeys: [] });
  clock.advance(1999);
  await host.describe();
  expect(await host.untilWanted(deploymentId, "run")).toMatchObject({ remainingMs: 1 });
  clock.advance(1);
  expect((await host.untilWanted(deploymentId, "end")).reason).toBe("expired");
  await host.report(deploymentId, wanted, { ...cleanEnd, reason: "expired" });
  expect((await admin.call("GET", `/instance/${id}`)).body).toMatchObject({ status: "TERMINATED", end_reason: "expired" });
});

test("a type is launched on a deployment of it that is free", async () => {
  const register = (type: string) => owner.call("POST", "/hardshare/register", { type }).then((answer) => answer.body.id as string);
  await register("nobody_there");
  expect((await owner.call("POST", "/new/nobody_there")).body.code).toBe("host_offline");
  expect((await owner.call("POST", "/new/no_such_type")).body.error_message).toBe("no matching wdeployment found");

  const { host, deploymentId } = await world.addHost(owner);
  const [a] = [await launch(owner, host, deploymentId)];
  const answer = await owner.call("POST", "/new", { wds: [deploymentId], sshkey: USER_KEY, reserve: true });
  expect(answer).toMatchObject({
    status: 503,
    body: { code: "busy", details: { holders: [{ deployment: deploymentId, user: "owner" }] } },
  });
  await owner.call("POST", `/terminate/${a.id}`);
});

test("who may not launch is told why, in the order and words of the existing API", async () => {
  const { host, deploymentId } = await world.addHost(owner);
  const other = await world.addUser("uninvited");
  const refused = async (user: TestUser) => {
    const { status, body } = await user.call("POST", `/new/${deploymentId}`, { sshkey: USER_KEY });
    return [status, body.code];
  };
  expect(await refused(other)).toEqual([403, "access_denied"]);
  await owner.call("POST", `/deployment/${deploymentId}/lockout`, { reason: "new wheels" });
  const locked = await owner.call("POST", `/new/${deploymentId}`, { sshkey: USER_KEY });
  expect(locked).toMatchObject({
    status: 400,
    body: {
      error: "workspace deployment is locked out (unavailable), please contact us ",
      code: "locked_out",
      details: { reason: "new wheels", actor: "owner" },
    },
  });
  expect((await host.until((desired) => desired.get(deploymentId)?.lockout))?.reason).toBe("new wheels");
  expect((await owner.call("GET", `/deployment/${deploymentId}`)).body).toMatchObject({
    lockout: true,
    lockout_info: { reason: "new wheels", actor: "owner" },
  });
  await owner.call("DELETE", `/deployment/${deploymentId}/lockout`);

  for (const deployment of host.deployments) deployment.isAdvertised = false;
  await host.describe();
  expect(await refused(owner)).toEqual([503, "host_offline"]);
  for (const deployment of host.deployments) deployment.isAdvertised = true;
  await host.describe();
  const { wanted } = await launch(owner, host, deploymentId);
  await owner.call("POST", `/terminate/${wanted.instanceId}`);
  await host.report(deploymentId, wanted, cleanEnd);

  await host[Symbol.asyncDispose]();
  await world.moment(async () => (await owner.call("GET", `/deployment/${deploymentId}`)).body.online === false);
  expect((await owner.call("POST", `/new/${deploymentId}`)).body.error).toBe(
    "workspace deployment temporarily unavailable, try again later",
  );
});

test("without a connected hub nothing is launched", async () => {
  await using empty = await TestWorld.start(ground);
  const admin = await empty.admin();
  const { deploymentId } = await empty.addHost(admin);
  expect(await admin.call("POST", `/new/${deploymentId}`, { sshkey: USER_KEY })).toMatchObject({ status: 503, body: { code: "no_hub" } });
});
