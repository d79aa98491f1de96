import { createHash, createPrivateKey } from "node:crypto";
import { InstanceId } from "@hardshare/protocol";
import { Deferred } from "@hardshare/runtime";
import { type JWTPayload, SignJWT } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { TestHub } from "../../testing/test-hub.ts";
import type { TestHost } from "../../testing/test-host.ts";
import { apiOf } from "../../testing/test-api.ts";
import { startTestGround, type TestGround, type TestUser, TestWorld, USER_KEY } from "../../testing/test-world.fixture.ts";

let ground: TestGround;
let world: TestWorld;
let hub: TestHub;
let owner: TestUser;
let user: TestUser;
beforeAll(async () => {
  ground = await startTestGround();
  world = await TestWorld.start(ground);
  hub = await world.addHub();
  owner = await world.addUser("owner");
  user = await world.addUser("user");
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

interface Running {
  host: TestHost;
  deploymentId: string;
  id: string;
  epoch: number;
}

async function launchReady(): Promise<Running> {
  const { host, deploymentId } = await world.addHost(owner);
  await owner.call("POST", `/deployment/${deploymentId}/rule`, { cap: "CAP_INSTANTIATE", user: "user" });
  const launched = await user.call("POST", `/new/${deploymentId}`, { sshkey: USER_KEY });
  expect(launched.status, launched.text).toBe(200);
  const { id } = launched.body;
  const wanted = await host.until((desired) => {
    const instance = desired.get(deploymentId)?.instance;
    return instance?.instanceId === id && instance?.tunnel != null && instance;
  });
  await host.report(deploymentId, wanted, { kind: "accepted" });
  await host.report(deploymentId, wanted, { kind: "up", hostKeys: ["ssh-ed25519 AAAA container"] });
  await world.untilState(user, id, "READY");
  return { host, deploymentId, id, epoch: wanted.epoch };
}

test("a user's press reaches host and hub, ends the instance for it, and leaves the lock-out to the host", async () => {
  const { host, deploymentId, id, epoch } = await launchReady();
  const answer = await user.call("POST", `/instance/${id}/estop`);
  expect(answer).toMatchObject({ status: 200, body: { deployment: deploymentId, instance: id, host: "stopped", recorded: true } });
  expect(host.estops).toMatchObject([
    { deploymentId, instance: { instanceId: id, epoch }, by: "user", actor: "user", lockoutId: `estop:${id}` },
  ]);
  await hub.moments.until(() => hub.closed.includes(id));
  expect(await host.untilWanted(deploymentId, "end")).toMatchObject({ reason: "estop" });
  expect((await user.call("GET", `/instance/${id}`)).body).toMatchObject({ status: "TERMINATING", end_reason: "estop" });
  expect((await owner.call("GET", `/deployment/${deploymentId}`)).body.lockout).toBeUndefined();
  expect(host.desired.get(deploymentId)?.estop).toBeNull();
});

test("the owner's press locks the deployment out, once, and says so to a host that was away, until it is unlocked", async () => {
  const { host, deploymentId, id } = await launchReady();
  expect((await owner.call("POST", `/instance/${id}/estop`)).body).toMatchObject({ host: "stopped", recorded: true });
  expect(host.estops).toMatchObject([{ by: "owner", actor: "owner" }]);
  expect((await owner.call("POST", `/deployment/${deploymentId}/estop`)).body).toMatchObject({ instance: id, host: "stopped" });
  expect(host.estops[1]).toMatchObject({ instance: null, by: "owner" });
  expect((await owner.call("GET", `/deployment/${deploymentId}`)).body).toMatchObject({
    lockout: true,
    lockout_info: { reason: "E-stop", actor: "owner" },
  });
  await host.lockOut(deploymentId, `estop:${id}`, "E-stop by owner"); // the host's own word for the same
  await host.until((desired) => desired.get(deploymentId)?.estop?.lockoutId === `estop:${id}`);
  const ending = await host.untilWanted(deploymentId, "end");
  await host.report(deploymentId, ending, { kind: "ended", reason: "estop", clean: true, residue: [] });
  expect((await user.call("POST", `/new/${deploymentId}`)).status).toBe(400);
  expect((await owner.call("DELETE", `/deployment/${deploymentId}/lockout`)).status).toBe(200);
  await host.until((desired) => desired.get(deploymentId)?.estop === null);
  expect((await owner.call("GET", `/deployment/${deploymentId}`)).body.lockout).toBeUndefined();
});

test("a press after the unlocking, while the same instance still ends, locks the deployment out again", async () => {
  const { host, deploymentId, id } = await launchReady();
  const isLocked = async () => (await owner.call("GET", `/deployment/${deploymentId}`)).body.lockout === true;
  const unlock = async () => {
    await owner.call("DELETE", `/deployment/${deploymentId}/lockout`);
    await host.until((desired) => desired.get(deploymentId)?.lockout === null);
  };
  await owner.call("POST", `/deployment/${deploymentId}/estop`);
  await host.lockOut(deploymentId, `estop:${id}`, "E-stop by owner");
  await host.until((desired) => desired.get(deploymentId)?.estop?.lockoutId === `estop:${id}`);
  await unlock();
  await owner.call("POST", `/deployment/${deploymentId}/estop`);
  expect(await isLocked()).toBe(true);
  const again = host.estops[1]?.lockoutId;
  await host.until((desired) => desired.get(deploymentId)?.estop?.lockoutId === again); // so that the host does not act twice
  await unlock();
  await user.call("POST", `/instance/${id}/estop`); // what that means, the host says
  await host.lockOut(deploymentId, host.estops[2]?.lockoutId ?? "", "E-stop by user");
  expect(await isLocked()).toBe(true);
});

test("it works while the instance ends for another reason, and without one; a host that is away gets it later", async () => {
  const { host, deploymentId, id } = await launchReady();
  await user.call("POST", `/terminate/${id}`);
  expect((await user.call("POST", `/instance/${id}/estop`)).body).toMatchObject({ instance: id, host: "stopped" });
  expect((await user.call("GET", `/instance/${id}`)).body).toMatchObject({ status: "TERMINATING", end_reason: "estop" });
  const ending = await host.untilWanted(deploymentId, "end");
  await host.report(deploymentId, ending, { kind: "ended", reason: "estop", clean: true, residue: [] });
  expect(await user.call("POST", `/instance/${id}/estop`)).toMatchObject({ status: 400, body: { code: "wrong_state" } });
  await host[Symbol.asyncDispose]();
  await world.moment(async () => (await owner.call("GET", `/deployment/${deploymentId}`)).body.online === false);
  expect((await owner.call("POST", `/deployment/${deploymentId}/estop`)).body).toEqual({
    deployment: deploymentId,
    instance: null,
    host: "offline",
    recorded: true,
  });
});

test("an E-stop in INIT leads through TERMINATING, also at a deployment whose host never connected", async () => {
  const { host, deploymentId } = await world.addHost(owner);
  const { id } = (await owner.call("POST", `/new/${deploymentId}`, { sshkey: USER_KEY })).body;
  expect((await owner.call("POST", `/instance/${id}/estop`)).body).toMatchObject({ instance: id, host: "stopped" });
  expect((await owner.call("GET", `/instance/${id}`)).body).toMatchObject({ status: "TERMINATING", end_reason: "estop" });
  const ending = await host.untilWanted(deploymentId, "end");
  await host.report(deploymentId, ending, { kind: "ended", reason: "estop", clean: true, residue: [] });
  expect((await owner.call("GET", `/instance/${id}`)).body.status).toBe("TERMINATED");
  const { deploymentIds } = await world.registerHost(owner);
  expect((await owner.call("POST", `/deployment/${deploymentIds[0]}/estop`)).body).toMatchObject({ host: "offline", recorded: true });
});

/** A token of somebody with these claims. */
function sign(claims: JWTPayload): Promise<string> {
  const common = { iss: "rerobots.net", aud: "rerobots.net", exp: Math.floor(Date.now() / 1000) + 600, jti: String(Math.random()) };
  return new SignJWT({ ...common, ...claims }).setProtectedHeader({ alg: "RS256", typ: "JWT" }).sign(createPrivateKey(ground.tokenPem));
}

test("a token for one instance presses as its user, for nothing else; one that may only read not at all", async () => {
  const { host, deploymentId, id } = await launchReady();
  const ask = async (claims: JWTPayload, path: string) => (await apiOf(world.url, await sign(claims))("POST", path)).body;
  expect((await ask({ sub: "owner", sc: "ro" }, `/instance/${id}/estop`)).code).toBe("token_scope");
  expect((await ask({ sub: "owner", sc: "ro" }, `/deployment/${deploymentId}/estop`)).code).toBe("token_scope");
  expect((await ask({ sub: "owner", in: id }, `/deployment/${deploymentId}/estop`)).code).toBe("token_scope");
  const other = InstanceId.parse(crypto.randomUUID());
  expect((await ask({ sub: "user", in: other }, `/instance/${id}/estop`)).code).toBe("token_scope");
  expect(host.estops).toEqual([]);
  expect(await ask({ sub: "owner", in: id }, `/instance/${id}/estop`)).toMatchObject({ host: "stopped" });
  expect(host.estops).toMatchObject([{ by: "user" }]);
});

test("host and hub are told although the store hangs, and nothing that is read meanwhile undoes it", async () => {
  const { host, deploymentId, id, epoch } = await launchReady();
  const { database } = world.store;
  const [held, letGo] = [new Deferred(), new Deferred()];
  const holding = database.transaction(async (tx) => {
    await database.instances.getForUpdate(tx, InstanceId.parse(id));
    held.resolve();
    await letGo.promise;
  });
  await held.promise;
  const pressed = user.call("POST", `/instance/${id}/estop`);
  await host.moments.until(() => host.estops.length > 0);
  await hub.moments.until(() => hub.closed.includes(id));
  await host.describe(); // it looks at the store, where the instance is still READY
  expect(host.desired.get(deploymentId)?.instance).toMatchObject({ instanceId: id, epoch, want: "end", reason: "estop" });
  expect((await pressed).body).toEqual({ deployment: deploymentId, instance: id, host: "stopped", recorded: false });
  letGo.resolve();
  await holding;
  await world.untilState(user, id, "TERMINATING");
  expect(hub.endpoints.has(id)).toBe(false);
});

test("a host that does not answer is told so, and the hub does not wait for it", async () => {
  const { host, id } = await launchReady();
  host.isAnsweringEstops = false;
  expect((await user.call("POST", `/instance/${id}/estop`)).body).toMatchObject({ host: "no_answer", recorded: true });
  expect(hub.closed).toContain(id);
});

test("nobody else may press, and refusals are limited while presses are not", async () => {
  const { deploymentId, id } = await launchReady();
  const stranger = await world.addUser("stranger");
  expect((await stranger.call("POST", `/instance/${id}/estop`)).body.code).toBe("not_found");
  expect((await stranger.call("POST", `/deployment/${deploymentId}/estop`)).body.code).toBe("access_denied");
  expect((await user.call("POST", `/deployment/${deploymentId}/estop`)).body.code).toBe("access_denied");
  expect((await world.anonymous()("POST", `/instance/${id}/estop`)).body.code).toBe("wrong_token");
  expect((await user.call("POST", "/instance/nonsense/estop")).body.code).toBe("bad_input");
  for (let count = 2; count < 60; count += 1) await stranger.call("POST", `/instance/${id}/estop`);
  expect((await stranger.call("POST", `/instance/${id}/estop`)).body.code).toBe("rate_limited");
  expect((await user.call("POST", `/instance/${id}/estop`)).status).toBe(200);
});

test("a revoked token presses nothing, although it was known", async () => {
  const { deploymentId } = await launchReady();
  const { token } = (await (await world.admin()).call("POST", "/admin/tokens", { user: "owner" })).body;
  const call = (path: string, method = "POST") => fetch(`${world.url}${path}`, { method, headers: { authorization: `Bearer ${token}` } });
  expect((await call("/whoami", "GET")).status).toBe(200);
  await owner.call("POST", `/revoke/${createHash("sha256").update(token).digest("hex")}`);
  expect((await call(`/deployment/${deploymentId}/estop`)).status).toBe(400);
});

test("rate limits never keep an E-stop back", async () => {
  await using limited = await TestWorld.start(ground, { rateLimits: { tokenPerHour: 20 } });
  const robotOwner = await limited.addUser("robot");
  const { host, deploymentId } = await limited.addHost(robotOwner);
  for (let count = 0; count < 20; count += 1) await robotOwner.call("GET", "/whoami");
  expect((await robotOwner.call("GET", "/whoami")).body.code).toBe("rate_limited");
  expect((await robotOwner.call("POST", `/deployment/${deploymentId}/estop`)).body).toMatchObject({ host: "stopped" });
  expect(host.estops).toHaveLength(1);
});
