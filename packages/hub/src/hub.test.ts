import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DeploymentId, type DesiredEndpoint, forwarderUsername, InstanceId, registerTranscript } from "@hardshare/protocol";
import { Deferred, silentLogger, systemClock, systemRandom } from "@hardshare/runtime";
import { generateIdentity, sameKey, SshForwarder, verifyWith } from "@hardshare/wire/ssh";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Hub, startHub, type StartHubOptions } from "./hub.ts";
import { connectTo, findFreePort } from "./testing/hub-world.fixture.ts";
import { TestServer } from "./testing/test-server.fixture.ts";

let server: TestServer;
let dataFolder: string;
let hubs: Hub[];
beforeEach(async () => {
  server = await TestServer.start();
  dataFolder = await mkdtemp(join(tmpdir(), "hub-test-"));
  hubs = [];
});
afterEach(async () => {
  for (const hub of hubs) await hub[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await rm(dataFolder, { recursive: true });
});

async function start(given: Partial<StartHubOptions> = {}): Promise<Hub> {
  const hub = await startHub({
    dataFolder,
    serverUrl: `${server.url}/`,
    token: "token of a superuser",
    name: "attic",
    publicHost: "hub.example.org",
    bindHost: "127.0.0.1",
    sshPort: 0,
    firstPort: 20_000,
    lastPort: 32_000,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    ...given,
  });
  hubs.push(hub);
  return hub;
}

async function makeDesired(): Promise<DesiredEndpoint> {
  const key = generateIdentity("").publicKey;
  return {
    instanceId: InstanceId.parse(systemRandom.uuid()),
    deploymentId: DeploymentId.parse(systemRandom.uuid()),
    epoch: 1,
    publicPort: await findFreePort(),
    forwarderKey: key,
    userKeys: [key],
    firewall: null,
    probe: "banner",
  };
}

test("the first start makes keys, registers and pins the server; the next needs neither token nor registration", async () => {
  const hub = await start();
  expect(hub.id).toBe(server.id);
  const { body, token } = server.registrations[0] ?? {};
  const tokenSha256 = createHash("sha256")
    .update(token ?? "")
    .digest("hex");
  expect(verifyWith(body?.key ?? "", registerTranscript("hub", body?.key ?? "", tokenSha256), body?.signature ?? "")).toBe(true);
  expect(sameKey(body?.sshHostKey ?? "", hub.hostKey)).toBe(true);
  for (const name of ["identity", "ssh_host_key", "hub.json"]) expect((await stat(join(dataFolder, name))).mode & 0o777).toBe(0o600);
  await hub[Symbol.asyncDispose]();

  const again = await start({ token: undefined });
  expect({ id: again.id, hostKey: again.hostKey }).toEqual({ id: hub.id, hostKey: hub.hostKey });
  expect(server.registrations.length).toBe(1);
});

test("it connects, says who it is, and does what the server desires", async () => {
  const hub = await start();
  await expect.poll(() => server.hellos.length).toBe(1);
  expect(server.hellos[0]).toMatchObject({
    publicHost: "hub.example.org",
    sshPort: hub.sshPort,
    sshHostKey: hub.hostKey,
    firstPort: 20_000,
    lastPort: 32_000,
  });
  const desired = await makeDesired();
  server.send({ type: "desired", full: true, endpoints: [desired], closed: [] });
  await expect.poll(() => server.messages).toMatchObject([{ type: "endpoint", instanceId: desired.instanceId, epoch: 1, status: "open" }]);
});

test("endpoints stay while the server is away, and are reported when it is back", async () => {
  await start();
  await expect.poll(() => server.hellos.length).toBe(1);
  const desired = await makeDesired();
  const misplaced = { ...(await makeDesired()), publicPort: 1 };
  server.send({ type: "desired", full: true, endpoints: [desired, misplaced], closed: [] });
  await expect.poll(() => server.messages.length).toBe(2);
  const { port } = server;
  await server.goAway();
  (await connectTo(desired.publicPort ?? 0)).destroy();
  await server.listen(port);
  await expect.poll(() => server.hellos.length, { timeout: 10_000 }).toBe(2);
  await expect.poll(() => server.messages.length).toBe(4);
  const { instanceId, publicPort } = desired;
  expect(server.messages.slice(2)).toEqual([
    { type: "endpoint", instanceId, epoch: 1, publicPort, status: "open" },
    { type: "endpoint", instanceId: misplaced.instanceId, epoch: 1, publicPort: 1, status: "port_taken", message: expect.anything() },
  ]);
  // However many there are: a hello must not get larger than the server takes.
  expect(JSON.stringify(server.hellos[1])).not.toContain(instanceId);
});

test("what an endpoint does while the hub is being welcomed is reported too", async () => {
  const hub = await start();
  await expect.poll(() => server.hellos.length).toBe(1);
  const host = generateIdentity("host");
  const desired: DesiredEndpoint = { ...(await makeDesired()), forwarderKey: host.publicKey, probe: "none" };
  server.send({ type: "desired", full: true, endpoints: [desired], closed: [] });
  await expect.poll(() => server.messages.length).toBe(1);
  const { port } = server;
  await server.goAway();
  const saidHello = new Deferred();
  const mayEnter = new Deferred();
  server.admit = async () => {
    saidHello.resolve();
    await mayEnter.promise;
  };
  await server.listen(port);
  await saidHello.promise;
  const isBound = new Deferred();
  await using _forwarder = new SshForwarder({
    target: { host: "127.0.0.1", port: hub.sshPort, hostKey: hub.hostKey, username: forwarderUsername(desired.instanceId), connections: 1 },
    privateKey: host.privateKey,
    dial: async () => Promise.reject(new Error("nothing is dialled")),
    onBound: () => isBound.resolve(),
    onLost: () => {},
    onError: () => {},
    newBackOff: () => ({ nextMs: () => 100, reset() {} }),
    clock: systemClock,
    logger: silentLogger,
  });
  await isBound.promise;
  mayEnter.resolve();
  await expect.poll(() => server.messages.at(-1)).toMatchObject({ instanceId: desired.instanceId, status: "probed" });
});

test("a server with another identity key is not obeyed", async () => {
  await start();
  await expect.poll(() => server.hellos.length).toBe(1);
  const { port } = server;
  await server.goAway();
  const impostor = await TestServer.start();
  await impostor.goAway();
  impostor.registrations.push(...server.registrations);
  await impostor.listen(port);
  await expect.poll(() => impostor.hellos.length, { timeout: 10_000 }).toBeGreaterThan(1); // it leaves after each welcome
  const desired = await makeDesired();
  impostor.send({ type: "desired", full: true, endpoints: [desired], closed: [] });
  await expect(connectTo(desired.publicPort ?? 0)).rejects.toThrow(/ECONNREFUSED/);
  await impostor[Symbol.asyncDispose]();
});

test("a start that can't register says why and leaves nothing behind", async () => {
  await expect(start({ token: undefined })).rejects.toMatchObject({
    code: "not_configured",
    message: expect.stringMatching(/token of a superuser/),
  });
  server.refusal = { status: 403, body: { error_message: "only a superuser may do this", code: "access_denied" } };
  await expect(start()).rejects.toMatchObject({ code: "access_denied", message: "only a superuser may do this" });
  server.refusal = { status: 502, body: "Bad Gateway" };
  await expect(start()).rejects.toThrow(/HTTP status 502/);
  server.refusal = { status: 200, body: { id: "x" } };
  await expect(start()).rejects.toMatchObject({ code: "protocol_violation" });
  await expect(start({ serverUrl: "http://127.0.0.1:9" })).rejects.toMatchObject({ code: "server_unreachable" });
  server.refusal = undefined;
  await start(); // the lock of the folder was given back
});

test("an SSH port in use, a folder in use and a damaged registration are refused with a message", async () => {
  const hub = await start();
  await expect(start()).rejects.toMatchObject({ code: "conflict", message: expect.stringMatching(/another hub/) });
  const other = await mkdtemp(join(tmpdir(), "hub-test-"));
  await expect(start({ dataFolder: other, sshPort: hub.sshPort })).rejects.toMatchObject({ code: "port_in_use" });
  expect(JSON.parse(await readFile(join(other, "hub.json"), "utf8"))).toMatchObject({ id: server.id });
  await writeFile(join(other, "hub.json"), "{");
  await expect(start({ dataFolder: other })).rejects.toMatchObject({ code: "config_invalid", message: expect.stringMatching(/hub\.json/) });
  await rm(other, { recursive: true });
});
