import { once } from "node:events";
import { DeploymentId } from "@hardshare/protocol";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import type { TestHost } from "../testing/test-host.ts";
import { startTestGround, type TestGround, type TestUser, TestWorld, USER_KEY } from "../testing/test-world.fixture.ts";

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

async function launchReady(deadManS?: number): Promise<{ host: TestHost; id: string; deploymentId: string }> {
  const { host, deploymentId } = await world.addHost(owner, deadManS === undefined ? {} : { deadManS });
  const { id } = (await owner.call("POST", `/new/${deploymentId}`, { sshkey: USER_KEY })).body;
  const wanted = await host.until((desired) => {
    const instance = desired.get(deploymentId)?.instance;
    return instance?.instanceId === id && instance?.tunnel != null && instance;
  });
  await host.report(deploymentId, wanted, { kind: "up", hostKeys: ["ssh-ed25519 AAAA container"] });
  await world.untilState(owner, id, "READY");
  return { host, id, deploymentId };
}

function open(id: string, token = owner.token): WebSocket {
  return new WebSocket(`${world.url.replace("http", "ws")}/heartbeat/${id}`, { headers: { authorization: `Bearer ${token}` } });
}

test("heartbeats are wanted four times in a window, and handed on as they are, with the instance that they are for", async () => {
  const { host, id, deploymentId } = await launchReady(2);
  const socket = open(id);
  const [wish] = (await once(socket, "message")) as [Buffer];
  expect(JSON.parse(wish.toString())).toEqual({ everyMs: 500 });
  for (const at of [1, 2, 3]) socket.send(JSON.stringify({ at, signature: "AAAA" })); // too fast: the first one is enough
  await host.moments.until(() => host.heartbeats.length > 0);
  socket.send("nonsense");
  expect((await once(socket, "close"))[0]).toBe(1008);
  expect(host.heartbeats).toEqual([{ type: "heartbeat", deploymentId, instanceId: id, epoch: 1, at: 1, signature: "AAAA" }]);
});

test("where there is no switch the connection ends at once, and with the instance it ends too", async () => {
  const without = await launchReady();
  expect((await once(open(without.id), "close"))[0]).toBe(1000);
  const { id } = await launchReady(2);
  const socket = open(id);
  await once(socket, "message");
  const closed = once(socket, "close");
  await owner.call("POST", `/terminate/${id}`);
  expect((await closed)[0]).toBe(1000);
  expect(await refusalOf(open(id))).toBe(400);
});

test("what another host says of a deployment changes nothing: it can't switch heartbeats off, nor want others", async () => {
  const { id, deploymentId } = await launchReady(2);
  const stranger = await world.addUser("mallory");
  const { host } = await world.addHost(stranger);
  for (const window of [{}, { deadManS: 3600 }]) {
    const [own] = host.deployments;
    if (own === undefined) throw new Error("it has one");
    host.deployments.splice(1, 1, { ...own, deploymentId: DeploymentId.parse(deploymentId), ...window });
    await host.describe();
    const socket = open(id);
    const [wish] = (await once(socket, "message")) as [Buffer];
    expect(JSON.parse(wish.toString())).toEqual({ everyMs: 500 });
    socket.terminate();
  }
});

test("nobody but the instance's user sends them", async () => {
  const { id } = await launchReady(2);
  expect(await refusalOf(open(id, (await world.addUser("stranger")).token))).toBe(404);
  expect(await refusalOf(open(id, "nonsense"))).toBe(400);
});

async function refusalOf(socket: WebSocket): Promise<number | undefined> {
  socket.on("error", () => {});
  const [, response] = (await once(socket, "unexpected-response")) as [unknown, { statusCode?: number }];
  socket.terminate();
  return response.statusCode;
}
