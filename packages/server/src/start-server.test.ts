import { createPublicKey } from "node:crypto";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ManualClock, silentLogger, systemClock, systemRandom } from "@hardshare/runtime";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startServer } from "./start-server.ts";
import { startTestGround, type TestGround, TestWorld } from "./testing/test-world.ts";

let ground: TestGround;
beforeAll(async () => (ground = await startTestGround()));
afterAll(() => ground[Symbol.asyncDispose]());

test("a first start makes private keys, publishes the token key, and leaves a superuser token", async () => {
  await using world = await TestWorld.start(ground);
  for (const file of ["token-signing.pem", "identity", "sealing.key", "admin.token"]) {
    expect((await stat(join(world.dataFolder, file))).mode & 0o777, file).toBe(0o600);
  }
  const pem = await readFile(join(world.dataFolder, "token-public.pem"), "utf8");
  expect((await world.anonymous()("GET", "/token-key")).text).toBe(pem);
  expect(createPublicKey(pem).asymmetricKeyType).toBe("rsa");
  const admin = await world.admin();
  expect((await admin.call("GET", "/whoami")).body).toMatchObject({ user: "admin", superuser: true });
});

test("a restart keeps keys and token; a token that nears its end is replaced", async () => {
  const clock = new ManualClock(Date.now());
  await using world = await TestWorld.start(ground, { clock });
  const read = () => readFile(world.server.adminTokenFile, "utf8");
  const first = await read();
  await world.restart();
  expect(await read()).toBe(first);
  clock.advance(336 * 86_400_000);
  await world.restart();
  const second = await read();
  expect(second).not.toBe(first);
  expect((await (await world.admin()).call("GET", "/whoami")).status).toBe(200);
});

test("a token that expired is wrong", async () => {
  const clock = new ManualClock(Date.now());
  await using world = await TestWorld.start(ground, { clock });
  const admin = await world.admin();
  const { token } = (await admin.call("POST", "/admin/tokens", { user: "admin", days: 1 })).body as { token: string };
  const whoami = () => fetch(`${world.url}/whoami`, { headers: { authorization: `Bearer ${token}` } });
  expect((await whoami()).status).toBe(200);
  clock.advance(86_400_000);
  expect((await whoami()).status).toBe(400);
});

test("a port in use is named, and nothing is left running", async () => {
  await using world = await TestWorld.start(ground);
  const folder = await mkdtemp(join(tmpdir(), "server-test-"));
  const options = { clock: systemClock, random: systemRandom, logger: silentLogger, databaseUrl: world.store.connection };
  const second = startServer({ ...options, dataFolder: folder, host: "127.0.0.1", port: world.server.port });
  await expect(second).rejects.toMatchObject({ code: "port_in_use", message: expect.stringContaining(String(world.server.port)) });
  await rm(folder, { recursive: true });
});
