import { createPublicKey } from "node:crypto";
import { copyFile, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startTestCluster } from "@hardshare/db/testing";
import { HostId } from "@hardshare/protocol";
import { ManualClock, silentLogger, systemClock, systemRandom } from "@hardshare/runtime";
import { beforeAll, expect, test } from "vitest";
import { startServer } from "./start-server.ts";
import { describedDeployment, startTestGround, type TestGround, TestWorld } from "./testing/test-world.fixture.ts";

let ground: TestGround;
beforeAll(async () => (ground = await startTestGround()));

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

test("a second server on the same folder is refused before it makes or changes anything, whatever its database", async () => {
  await using world = await TestWorld.start(ground);
  const options = {
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    dataFolder: world.dataFolder,
    host: "127.0.0.1",
    port: 0,
  };
  const before = await readdir(world.dataFolder);
  for (const databaseUrl of [undefined, world.store.connection]) {
    await expect(startServer({ ...options, databaseUrl })).rejects.toMatchObject({ code: "conflict" });
  }
  expect(await readdir(world.dataFolder)).toEqual(before);
});

test("a copied data folder is refused while the first server runs, whose hosts stay online", async () => {
  await using world = await TestWorld.start(ground);
  const owner = await world.addUser("owner");
  const { deploymentId } = await world.addHost(owner);
  const copy = await mkdtemp(join(tmpdir(), "server-test-"));
  await copyFile(join(world.dataFolder, "replica-id"), join(copy, "replica-id"));
  const options = { clock: systemClock, random: systemRandom, logger: silentLogger, databaseUrl: world.store.connection };
  const second = startServer({ ...options, dataFolder: copy, host: "127.0.0.1", port: 0 });
  await expect(second).rejects.toMatchObject({ code: "conflict", message: expect.stringContaining("replica-id") });
  await rm(copy, { recursive: true });
  expect((await owner.call("GET", `/deployment/${deploymentId}`)).body.online).toBe(true);
});

test("what a replica that never comes back left connected is offline once another one starts", async () => {
  await using world = await TestWorld.start(ground);
  const owner = await world.addUser("owner");
  const { options: peer, deploymentIds } = await world.registerHost(owner);
  const { database } = world.store;
  const left = { role: "host", peerId: peer.id, replicaId: "gone", connectionId: "gone", session: "left" } as const;
  await database.transaction(async (tx) => {
    await database.channels.open(tx, { ...left, connectedAt: new Date() });
    await database.deployments.updateFromHost(tx, HostId.parse(peer.id), describedDeployment(deploymentIds[0] ?? ""));
  });
  const isOnline = async () => (await owner.call("GET", `/deployment/${deploymentIds[0]}`)).body.online;
  expect(await isOnline()).toBe(true);
  await using _replica = await world.startReplica();
  expect(await isOnline()).toBe(false);
});

test("a start that is interrupted ends, and leaves the data folder free", async () => {
  const folder = await mkdtemp(join(tmpdir(), "server-test-"));
  const options = { clock: systemClock, random: systemRandom, logger: silentLogger, dataFolder: folder, host: "127.0.0.1", port: 0 };
  const interruption = new AbortController();
  const started = startServer({ ...options, socketFolder: join(folder, "sockets"), signal: interruption.signal });
  interruption.abort();
  await expect(started).rejects.toMatchObject({ name: "AbortError" });
  expect(await readdir(folder)).not.toContain("server.lock");
  await rm(folder, { recursive: true });
});

test("a server whose database is gone can be stopped, and leaves the data folder free", async () => {
  const cluster = await startTestCluster();
  const folder = await mkdtemp(join(tmpdir(), "server-test-"));
  const tools = { clock: systemClock, random: systemRandom, logger: silentLogger };
  const server = await startServer({ ...tools, dataFolder: folder, databaseUrl: cluster.connection, host: "127.0.0.1", port: 0 });
  await cluster[Symbol.asyncDispose]();
  expect((await fetch(`${server.url}/deployments`)).status).toBe(503);
  await server[Symbol.asyncDispose]();
  expect(await readdir(folder)).not.toContain("server.lock");
  await rm(folder, { recursive: true });
});

test("a port in use is named, and nothing is left running", async () => {
  await using world = await TestWorld.start(ground);
  const folder = await mkdtemp(join(tmpdir(), "server-test-"));
  const options = { clock: systemClock, random: systemRandom, logger: silentLogger, databaseUrl: world.store.connection };
  const second = startServer({ ...options, dataFolder: folder, host: "127.0.0.1", port: world.server.port });
  await expect(second).rejects.toMatchObject({ code: "port_in_use", message: expect.stringContaining(String(world.server.port)) });
  await rm(folder, { recursive: true });
});
