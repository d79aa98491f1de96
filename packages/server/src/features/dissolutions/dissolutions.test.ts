import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestGround, type TestGround, type TestUser, TestWorld, USER_KEY } from "../../testing/test-world.fixture.ts";

let ground: TestGround;
let world: TestWorld;
let owner: TestUser;
let other: TestUser;
beforeAll(async () => {
  ground = await startTestGround();
  world = await TestWorld.start(ground);
  await world.addHub();
  owner = await world.addUser("owner");
  other = await world.addUser("other");
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

const UTC_MINUTE = /^\d{4}-\d\d-\d\d \d\d:\d\d UTC$/;

test("a dissolved deployment is told to its host, hidden from lists unless asked for, and can never be launched again", async () => {
  const { host, deploymentId: id } = await world.addHost(owner);
  const answer = await owner.call("POST", `/hardshare/dis/${id}`);
  expect(answer).toMatchObject({ status: 200, body: { id, date_dissolved: expect.stringMatching(UTC_MINUTE), origin: "127.0.0.1" } });
  const told = await host.until((desired) => desired.get(id)?.dissolved ?? false);
  expect(told).toMatchObject({ actor: "owner", reason: "dissolved by its owner" });
  expect(await owner.call("POST", `/new/${id}`, { sshkey: USER_KEY })).toMatchObject({ status: 400, body: { code: "dissolved" } });
  expect((await owner.call("GET", "/deployments")).body.workspace_deployments).not.toContain(id);
  const listed = async (query: string) => (await owner.call("GET", `/hardshare/list${query}`)).body.wdeployments;
  expect(await listed("")).not.toContainEqual(expect.objectContaining({ id }));
  expect(await listed("?with_dissolved=t")).toContainEqual(
    expect.objectContaining({
      id,
      online: false,
      dissolved: expect.stringMatching(UTC_MINUTE),
      dissolved_info: expect.objectContaining({ actor: "owner" }),
    }),
  );
  expect(await owner.call("POST", `/hardshare/dis/${id}`)).toMatchObject({ status: 400, body: { error: "already dissolved" } });
});

test("only its owner may dissolve a deployment, and what is not there cannot be", async () => {
  const { deploymentId: id } = await world.addHost(owner);
  expect(await other.call("POST", `/hardshare/dis/${id}`)).toMatchObject({ status: 403, body: { code: "access_denied" } });
  expect(await owner.call("POST", "/hardshare/dis/00000000-0000-4000-8000-000000000009")).toMatchObject({ status: 404 });
  expect(await owner.call("POST", `/hardshare/dis/${id}`, { reason: 7 })).toMatchObject({ status: 400, body: { code: "bad_input" } });
  expect((await owner.call("GET", `/deployment/${id}`)).body.dissolved).toBeUndefined();
});

test("while an instance runs it is refused; with force the instance ends, and its end is still recorded", async () => {
  const { host, deploymentId } = await world.addHost(owner);
  const launched = await owner.call("POST", `/new/${deploymentId}`, { sshkey: USER_KEY });
  expect(launched.status, launched.text).toBe(200);
  expect(await owner.call("POST", `/hardshare/dis/${deploymentId}`)).toMatchObject({ status: 503, body: { code: "busy" } });
  expect((await owner.call("GET", `/deployment/${deploymentId}`)).body.dissolved).toBeUndefined();
  const forced = await owner.call("POST", `/hardshare/dis/${deploymentId}`, { force: true, reason: "the arm was sold" });
  expect(forced.status, forced.text).toBe(200);
  const wanted = await host.untilWanted(deploymentId, "end");
  expect(host.desired.get(deploymentId)?.dissolved).toMatchObject({ reason: "the arm was sold" });
  await host.report(deploymentId, wanted, { kind: "ended", reason: "owner", clean: true, residue: [] });
  await world.untilState(owner, launched.body.id, "TERMINATED");
});

test("owners learn where their hosts dial the hubs", async () => {
  const { status, body } = await owner.call("GET", "/hubs");
  expect(status).toBe(200);
  expect(body.hubs).toMatchObject([{ host: expect.any(String), port: expect.any(Number), hostKey: expect.stringMatching(/^ssh-/) }]);
});
