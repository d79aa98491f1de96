import { createPrivateKey } from "node:crypto";
import { ManualClock, systemRandom } from "@hardshare/runtime";
import { type JWTPayload, SignJWT } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { apiOf } from "../../testing/test-api.ts";
import { startTestGround, type TestGround, type TestUser, TestWorld, USER_KEY } from "../../testing/test-world.fixture.ts";
import { TokenCodec, tokenSha256 } from "./token-codec.ts";

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

/** A token with these claims, signed by the server's own key but not issued by it. */
function sign(claims: JWTPayload, alg = "RS256"): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  return new SignJWT({ sub: "owner", iss: "rerobots.net", aud: "rerobots.net", exp: now + 600, jti: String(Math.random()), ...claims })
    .setProtectedHeader({ alg })
    .sign(createPrivateKey(ground.tokenPem));
}

const whoami = async (token: string) => (await apiOf(world.url, token)("GET", "/whoami")).status;

test("a token of ours that the store does not know is recorded at its first use", async () => {
  const token = await sign({});
  expect(await whoami(token)).toBe(200);
  const { database } = world.store;
  const row = await database.transaction((tx) => database.tokens.get(tx, tokenSha256(token)));
  expect(row).toMatchObject({ user: "owner", issuedAt: null, origin: "127.0.0.1", revokedAt: null });
});

test("a token is good from its time on, give or take 5 s between clocks, and not a moment after its end", async () => {
  const clock = new ManualClock(1_700_000_000_000);
  const codec = new TokenCodec({ tokenKey: createPrivateKey(ground.tokenPem), clock, random: systemRandom });
  const nowS = clock.now() / 1000;
  const isGood = async (claims: JWTPayload) => (await codec.verify(await sign({ exp: nowS + 600, ...claims }))) !== undefined;
  expect(await isGood({ nbf: nowS + 5 })).toBe(true);
  expect(await isGood({ nbf: nowS + 6 })).toBe(false);
  expect(await isGood({ exp: nowS + 1 })).toBe(true);
  expect(await isGood({ exp: nowS })).toBe(false);
});

test("tokens with a wrong claim, algorithm or user are wrong", async () => {
  for (const claims of [
    { iss: "elsewhere" },
    { aud: "elsewhere" },
    { aud: ["rerobots.net"] },
    { exp: 1 },
    { nbf: Math.floor(Date.now() / 1000) + 600 },
    { sub: "nobody" },
    { su: "true" },
    { org: null },
  ] as JWTPayload[]) {
    expect(await whoami(await sign(claims)), JSON.stringify(claims)).toBe(400);
  }
  expect(await whoami(await sign({}, "PS256"))).toBe(400);
  const [, body] = (await sign({})).split(".");
  expect(await whoami(`${Buffer.from('{"alg":"none"}').toString("base64url")}.${body}.`)).toBe(400);
});

test("a token's scope, types and instance limit what it may do", async () => {
  const { host, deploymentId } = await world.addHost(owner);
  const launch = async (claims: JWTPayload) =>
    (await apiOf(world.url, await sign(claims))("POST", `/new/${deploymentId}`, { sshkey: USER_KEY })).body;
  expect(await launch({ sc: "ro" })).toMatchObject({ code: "token_scope", error: "token scope does not permit instantiation" });
  expect(await launch({ wt: ["fixed_misty2"] })).toMatchObject({ code: "token_scope", error: "token not valid for wtype user_provided" });
  expect(await launch({ in: "00000000-0000-4000-8000-000000000000" })).toMatchObject({ code: "token_scope" });
  const { id } = await launch({ sc: ["rw"], wt: ["user_provided"] });

  const reader = apiOf(world.url, await sign({ sc: "ro" }));
  expect((await reader("GET", `/instance/${id}`)).status).toBe(200);
  for (const [method, path] of [
    ["POST", `/terminate/${id}`],
    ["POST", `/firewall/${id}`],
    ["POST", "/hardshare/register"],
    ["POST", `/deployment/${deploymentId}/lockout`],
    ["POST", `/revoke/${tokenSha256(owner.token)}`],
    ["GET", `/instance/${id}/sshkey`],
  ] as const) {
    expect((await reader(method, path, method === "GET" ? undefined : {})).body.code, path).toBe("token_scope");
  }
  const leaving = await sign({ sc: "ro" });
  expect((await apiOf(world.url, leaving)("POST", `/revoke/${tokenSha256(leaving)}`)).status).toBe(200);
  expect(await whoami(leaving)).toBe(400);
  const elsewhere = apiOf(world.url, await sign({ in: "00000000-0000-4000-8000-000000000000" }));
  expect((await elsewhere("GET", `/instance/${id}`)).body.error_message).toBe("token already constrained to another instance");
  await world.addUser("invited");
  const invited = apiOf(world.url, await sign({ sub: "invited", in: id }));
  expect((await invited("GET", `/instance/${id}`)).status).toBe(200);
  expect((await invited("POST", "/hardshare/register")).body.code).toBe("token_scope");
  expect((await invited("GET", "/hardshare/list")).body.code).toBe("token_scope");
  expect((await invited("GET", "/instances")).body.workspace_instances).toEqual([id]);
  expect((await elsewhere("GET", "/instances")).body.workspace_instances).toEqual([]);
  expect((await apiOf(world.url, await sign({ su: true, in: id }))("GET", "/admin/users")).body.code).toBe("token_scope");
  expect((await invited("POST", `/revoke/${"a".repeat(64)}`)).body.code).toBe("token_scope");
  expect((await invited("POST", `/terminate/${id}`)).status).toBe(200);
  await host.untilWanted(deploymentId, "end");
});

test("a member's token of an organisation owns what the organisation owns", async () => {
  await world.addUser("member");
  const member = apiOf(world.url, await sign({ sub: "member", org: "lab" }));
  const { id, owner: name } = (await member("POST", "/hardshare/register")).body as { id: string; owner: string };
  expect(name).toBe("lab");
  expect((await member("POST", `/deployment/${id}/lockout`)).status).toBe(200);
  expect((await member("GET", "/hardshare/list")).body.wdeployments).toHaveLength(1);
  expect((await owner.call("POST", `/deployment/${id}/lockout`)).status).toBe(403);
});
