import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { HostId, OLDEST_CHANNEL_VERSION } from "@hardshare/protocol";
import { generateIdentity } from "@hardshare/wire/ssh";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import { apiOf } from "../testing/test-api.ts";
import { TestHost } from "../testing/test-host.ts";
import { TestHub } from "../testing/test-hub.ts";
import { startTestGround, type TestGround, type TestUser, TestWorld, USER_KEY } from "../testing/test-world.fixture.ts";

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

test("a host with another key than the pinned one is refused, as is one that nobody registered", async () => {
  const { options } = await world.registerHost(owner);
  await using impostor = new TestHost({ ...options, identity: generateIdentity("other") }, []);
  expect(await impostor.untilRefused()).toMatch(/^identity_refused: .*register it again/);
  await using stranger = new TestHost({ ...options, id: "00000000-0000-4000-8000-000000000000" }, []);
  expect(await stranger.untilRefused()).toMatch(/^identity_refused: no host with the id/);
  await using odd = new TestHost({ ...options, id: "not a uuid" }, []);
  expect(await odd.untilRefused()).toMatch(/^identity_refused/);
});

test("a host refuses a server that is not the one it registered with", async () => {
  const { options } = await world.registerHost(owner);
  await using host = new TestHost({ ...options, serverKey: generateIdentity("real server").publicKey }, []);
  expect(await host.untilRefused()).toMatch(/^identity_refused: the server at this address/);
});

test("a peer that speaks a version that nobody knows any more is told what to upgrade", async () => {
  const { options } = await world.registerHost(owner);
  const socket = new WebSocket(`${world.url.replace("http", "ws")}/channel/host`);
  const texts = new Promise<Record<string, unknown>>((resolve) => {
    socket.on("message", (data: Buffer) => {
      const message = JSON.parse(data.toString()) as Record<string, unknown>;
      const nonce = Buffer.alloc(32).toString("base64");
      const fields = { id: options.id, session: "12345678", nonce, signature: "", bootId: "b", softwareVersion: "9", deployments: [] };
      if (message["type"] === "challenge") socket.send(JSON.stringify({ type: "hello", version: OLDEST_CHANNEL_VERSION - 1, ...fields }));
      else resolve(message);
    });
  });
  expect(await texts).toMatchObject({ type: "refused", code: "version_mismatch", message: expect.stringContaining("upgrade the host") });
});

test("of one address only so many connections may leave open who they are", async () => {
  const open = () => new WebSocket(`${world.url.replace("http", "ws")}/channel/hub`);
  const silent = Array.from({ length: 256 }, open);
  await Promise.all(silent.map((socket) => once(socket, "open")));
  const refused = open().on("error", () => {});
  const [, response] = (await once(refused, "unexpected-response")) as [unknown, IncomingMessage];
  expect(response.statusCode).toBe(503);
  refused.terminate();
  await Promise.all(silent.map((socket) => (socket.terminate(), once(socket, "close"))));
});

test("a copy of a host is refused while the first answers; the first goes on", async () => {
  const { host, registered, deploymentId } = await world.addHost(owner);
  const copy = registered.connect("another-process");
  expect(await copy.untilRefused()).toMatch(/^identity_in_use: .*new identity/);
  await host.describe();
  expect((await owner.call("GET", `/deployment/${deploymentId}`)).body.online).toBe(true);
});

test("a copy of a host is refused also while other things change for the host", async () => {
  const { deploymentId, registered } = await world.addHost(owner);
  const { database } = world.store;
  const topic = `host:${registered.options.id}/${deploymentId}`;
  const change = () => void database.transaction((tx) => database.wakeUps.notify(tx, topic));
  // One change after another, so that some come between the question whether the host is alive and its answer.
  using _changes = database.wakeUps.listen((heard) => heard === topic && change());
  change();
  expect(await registered.connect("another-process").untilRefused()).toMatch(/^identity_in_use/);
});

test("a host whose old connection is dead takes its place with a new process", async () => {
  const { options, deploymentIds, connect } = await world.registerHost(owner);
  // A connection that a replica left behind which is no more: nobody answers for it.
  const [deploymentId = ""] = deploymentIds;
  const { database } = world.store;
  const row = { role: "host", peerId: options.id, replicaId: "gone", connectionId: "gone", session: "old-process" } as const;
  await database.transaction((tx) => database.channels.open(tx, { ...row, connectedAt: new Date() }));
  const host = connect("new-process");
  await host.until((desired) => desired.get(deploymentId));
  expect((await owner.call("GET", `/deployment/${deploymentId}`)).body.online).toBe(true);
});

test("a host's place is kept for the computer that was connected a moment ago; one with another boot id waits", async () => {
  const { database } = world.store;
  const bootId = "first";
  const wasConnected = async (agoMs: number) => {
    const { options } = await world.registerHost(owner);
    const connection = { hostId: HostId.parse(options.id), softwareVersion: "9", bootId, at: new Date(Date.now() - agoMs) };
    await database.transaction((tx) => database.hosts.recordConnection(tx, connection));
    return options;
  };
  const justNow = await wasConnected(0);
  await using copy = new TestHost({ ...justNow, bootId: "second" }, []);
  expect(await copy.untilRefused()).toMatch(/^identity_in_use: .*its place is kept for \d+ s more.*hardshare register/);
  await using first = new TestHost({ ...justNow, bootId }, []);
  await first.moments.until(() => first.desiredCount > 0);
  await using restarted = new TestHost({ ...(await wasConnected(20_000)), bootId: "second" }, []);
  await restarted.moments.until(() => restarted.desiredCount > 0);
});

test("the same process may connect again at once, before its old connection is known to be dead", async () => {
  const { options, deploymentIds, connect } = await world.registerHost(owner);
  const [deploymentId = ""] = deploymentIds;
  const { database } = world.store;
  const row = { role: "host", peerId: options.id, replicaId: "other", connectionId: "old", session: "one-process" } as const;
  await database.transaction((tx) => database.channels.open(tx, { ...row, connectedAt: new Date() }));
  const host = connect("one-process");
  await host.until((desired) => desired.get(deploymentId));
  const current = await database.transaction((tx) => database.channels.get(tx, "host", options.id));
  expect(current?.connectionId).not.toBe("old");
  // The replica that held the old one hears of its end late; that changes nothing.
  await database.transaction((tx) => database.channels.close(tx, { ...row, at: new Date() }));
  expect((await owner.call("GET", `/deployment/${deploymentId}`)).body.online).toBe(true);
});

test("a host speaks only for its own deployments, and what it no longer lists is offline", async () => {
  const { deploymentId } = await world.addHost(owner);
  const thief = await world.addHost(owner);
  const own = thief.host.deployments[0];
  if (own === undefined) throw new Error("no deployment");
  thief.host.deployments[0] = { ...own, deploymentId: deploymentId as typeof own.deploymentId, provider: "proxy" };
  await thief.host.describe();
  expect((await owner.call("GET", `/deployment/${deploymentId}`)).body.provider).toBe("podman");
  expect((await owner.call("GET", `/deployment/${thief.deploymentId}`)).body.online).toBe(false);
});

test("a hub with another SSH host key than the pinned one is refused", async () => {
  const hub = await world.addHub();
  await hub[Symbol.asyncDispose]();
  const other = generateIdentity("swapped").publicKey;
  const address = { publicHost: "127.0.0.1", sshPort: 1, firstPort: 1000, lastPort: 1001 };
  await using swapped = new TestHub(hub.options, { ...address, sshHostKey: other });
  expect(await swapped.untilRefused()).toMatch(/^identity_refused: the SSH host key/);
});

test("after a restart of the server hosts and hubs come back, instances go on, and what happened meanwhile is known", async () => {
  await using again = await TestWorld.start(ground);
  const admin = await again.admin();
  const hub = await again.addHub();
  const { host, deploymentId } = await again.addHost(admin);
  const { body } = await admin.call("POST", `/new/${deploymentId}`, { sshkey: USER_KEY });
  const wanted = await host.until((desired) => {
    const instance = desired.get(deploymentId)?.instance;
    return instance?.tunnel != null && instance;
  });
  await host.report(deploymentId, wanted, { kind: "up", hostKeys: [] });
  await again.untilState(admin, body.id, "READY");
  const before = host.desiredCount;
  hub.isOpen = false;
  await again.restart();
  await host.moments.until(() => host.desiredCount > before);
  await hub.untilConnected();
  expect((await hub.until((endpoints) => endpoints.get(body.id))).epoch).toBe(1);
  expect(await host.untilWanted(deploymentId, "run")).toMatchObject({ instanceId: body.id });
  expect((await admin.call("GET", `/instance/${body.id}`)).body.status).toBe("READY");
});

test("a hub that moved is dialled at its new address", async () => {
  await using moved = await TestWorld.start(ground);
  const admin = await moved.admin();
  const hub = await moved.addHub();
  const { host, deploymentId } = await moved.addHost(admin);
  await admin.call("POST", `/new/${deploymentId}`, { sshkey: USER_KEY });
  await host.until((desired) => desired.get(deploymentId)?.instance?.tunnel);
  await hub[Symbol.asyncDispose]();
  await using back = new TestHub(hub.options, { ...hub.address, sshPort: 9999 });
  await back.untilConnected();
  await host.until((desired) => desired.get(deploymentId)?.instance?.tunnel?.port === 9999);
});

test("two replicas on one store: what is launched at one reaches hosts and hubs at the other, and a copy is refused there too", async () => {
  const hub = await world.addHub();
  const { host, deploymentId, registered } = await world.addHost(owner);
  await using second = await world.startReplica();
  const call = apiOf(second.url, owner.token);
  const { body } = await call("POST", `/new/${deploymentId}`, { sshkey: USER_KEY });
  const wanted = await host.until((desired) => {
    const instance = desired.get(deploymentId)?.instance;
    return instance?.tunnel != null && instance;
  });
  expect(wanted.instanceId).toBe(body.id);
  expect((await hub.until((endpoints) => endpoints.get(body.id))).epoch).toBe(1);
  await using copy = new TestHost({ ...registered.options, url: second.url }, []);
  expect(await copy.untilRefused()).toMatch(/^identity_in_use/);
  await call("POST", `/terminate/${body.id}`);
  await host.untilWanted(deploymentId, "end");
});
