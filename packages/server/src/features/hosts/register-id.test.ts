import { randomUUID } from "node:crypto";
import { registerTranscript } from "@hardshare/protocol";
import { generateIdentity, signWith } from "@hardshare/wire/ssh";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestGround, type TestGround, type TestUser, TestWorld } from "../../testing/test-world.fixture.ts";
import { tokenSha256 } from "../tokens/token-codec.ts";

let ground: TestGround;
let world: TestWorld;
let owner: TestUser;
beforeAll(async () => {
  ground = await startTestGround();
  world = await TestWorld.start(ground);
  owner = await world.addUser("owner");
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

/** The proof of a host that is asked for by this user. */
function hostOf(user: TestUser, identity = generateIdentity("test host")) {
  const key = identity.publicKey.trim();
  return { key, name: "bench", signature: signWith(identity.privateKey, registerTranscript("host", key, tokenSha256(user.token))) };
}

test("a new deployment gets the id that its host brings along", async () => {
  const id = randomUUID();
  const answer = await owner.call("POST", "/hardshare/register", { id, host: hostOf(owner) });
  expect(answer).toMatchObject({ status: 200, body: { id, owner: "owner", host: expect.any(String) } });
  expect((await owner.call("GET", `/deployment/${id}`)).status).toBe(200);
});

test("a deployment that the existing client registered is taken over by its owner's host, once", async () => {
  const { id } = (await owner.call("POST", "/hardshare/register")).body;
  const identity = generateIdentity("test host");
  const taken = await owner.call("POST", "/hardshare/register", { id, host: hostOf(owner, identity) });
  expect(taken).toMatchObject({ status: 200, body: { id, owner: "owner" } });
  const again = await owner.call("POST", "/hardshare/register", { id, host: hostOf(owner, identity) });
  expect(again.body).toEqual(taken.body);
  const { wdeployments } = (await owner.call("GET", "/hardshare/list")).body;
  expect(wdeployments.find((it: { id: string }) => it.id === id)).toMatchObject({ host: "bench" });

  const other = await owner.call("POST", "/hardshare/register", { id, host: hostOf(owner) });
  expect(other).toMatchObject({ status: 409, body: { code: "conflict", error_message: expect.stringContaining("bench") } });
});

test("nobody takes over the deployment of somebody else", async () => {
  const eve = await world.addUser("eve");
  const { id } = (await owner.call("POST", "/hardshare/register")).body;
  expect((await eve.call("POST", "/hardshare/register", { id, host: hostOf(eve) })).body.code).toBe("access_denied");
  expect((await owner.call("POST", "/hardshare/register", { id })).body.code).toBe("conflict");
  expect((await owner.call("POST", "/hardshare/register", { id: "7", host: hostOf(owner) })).body.code).toBe("bad_input");
});
