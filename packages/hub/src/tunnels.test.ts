import { once } from "node:events";
import { connect, createServer } from "node:net";
import { Duplex } from "node:stream";
import { DeploymentId, InstanceId } from "@hardshare/protocol";
import { systemRandom } from "@hardshare/runtime";
import { generateIdentity } from "@hardshare/wire/ssh";
import { afterEach, beforeEach, expect, test } from "vitest";
import { connectTo, echo, exchange, HubWorld } from "./testing/hub-world.fixture.ts";
import { MAX_PORT_VISITORS_PER_SOURCE } from "./visitors.ts";

let world: HubWorld;
beforeEach(async () => {
  world = await HubWorld.start();
});
afterEach(() => world[Symbol.asyncDispose]());

test("an endpoint is reported as open, forwarded and probed, and then carries bytes from its public port", async () => {
  const desired = await world.open();
  world.startHost(desired, await world.listen(echo));
  await world.reported("probed", desired);
  expect(world.reports.map(({ status }) => status)).toEqual(["open", "forwarded", "probed"]);
  expect(await exchange(await connectTo(desired.publicPort ?? 0), "hello")).toBe("hello");
});

test("what an endpoint reported is also said when the hub connects", async () => {
  const desired = await world.open();
  const { instanceId, epoch, publicPort } = desired;
  expect(world.core.reports()).toEqual([{ type: "endpoint", instanceId, epoch, publicPort, status: "open" }]);
});

test("a banner probe is content with an SSH server only, and tries again until one answers", async () => {
  const greetings = ["HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-robot\r\n"];
  const port = await world.listen((socket) => socket.end(greetings.shift() ?? "SSH-2.0-robot\r\n"));
  const desired = await world.open({ probe: "banner" });
  world.startHost(desired, port);
  await world.reported("probed", desired);
  expect(world.reports.find(({ message }) => message !== undefined)?.message).toBe("probe: what answers in the tunnel is no SSH server");
});

test("a probe fails while the target does not answer, and says why", async () => {
  const desired = await world.makeDesired({ publicPort: null });
  world.apply(desired);
  let isUp = false;
  const port = await world.listen(echo);
  world.startHost(desired, () => (isUp ? connectTo(port) : Promise.reject(new Error("not yet"))));
  await expect.poll(() => world.reports.at(-1)?.message).toMatch(/the target does not answer/);
  isUp = true;
  await world.reported("probed", desired);
});

test("with `probe: none` nothing is sent to the target", async () => {
  let connections = 0;
  const port = await world.listen(() => (connections += 1));
  const desired = await world.open({ probe: "none" });
  world.startHost(desired, port);
  await world.reported("probed", desired);
  expect(connections).toBe(0);
});

test("the probe passes a firewall that lets nobody in", async () => {
  const desired = await world.open({ firewall: [] });
  world.startHost(desired, await world.listen(echo));
  await world.reported("probed", desired);
  expect(await exchange(await connectTo(desired.publicPort ?? 0), "hello")).toBe("");
});

test("a refused connection is closed in order for DROP and reset for REJECT", async () => {
  for (const [action, expected] of [
    ["DROP", "end"],
    ["REJECT", "ECONNRESET"],
  ] as const) {
    const desired = await world.open({ firewall: [{ source: "127.0.0.0/8", action }] });
    const socket = connect(desired.publicPort ?? 0, "127.0.0.1"); // the reset may come before anything else
    const outcome = await new Promise((resolve) => {
      socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code));
      socket.once("end", () => resolve("end"));
      socket.resume();
    });
    expect(outcome).toBe(expected);
    socket.destroy();
  }
});

test("the server reaches any instance, behind the firewall for the address that it passes on", async () => {
  const desired = await world.makeDesired({ publicPort: null, firewall: [{ source: "192.0.2.0/24", action: "ACCEPT" }] });
  world.apply(desired);
  world.startHost(desired, await world.listen(echo));
  await world.reported("probed", desired);
  expect(await exchange(await world.openAsServer(desired, "192.0.2.9"), "hello")).toBe("hello");
  await expect(world.openAsServer(desired, "198.51.100.9")).rejects.toThrow(/firewall of this instance does not let this address in/);
  await expect(world.openAsServer(desired, "nowhere")).rejects.toThrow(/firewall/);
  const unknown = { ...desired, instanceId: InstanceId.parse(systemRandom.uuid()) };
  await expect(world.openAsServer(unknown)).rejects.toThrow(/no such instance is open at this hub/);
  await expect(world.openAsServer(desired, "192.0.2.9", generateIdentity("").privateKey)).rejects.toMatchObject({ code: "access_denied" });
});

test("a public port that a stranger holds is reported, and another one takes its place", async () => {
  const stranger = createServer();
  await once(stranger.listen(0, "127.0.0.1"), "listening");
  const address = stranger.address();
  const taken = await world.makeDesired({ publicPort: typeof address === "object" ? (address?.port ?? 0) : 0 });
  world.apply(taken);
  const report = await world.reported("port_taken", taken);
  expect(report.message).toMatch(/EADDRINUSE/);
  stranger.close();
  const moved = { ...taken, publicPort: (await world.makeDesired()).publicPort };
  world.apply(moved);
  await world.reported("open", moved);
  world.startHost(moved, await world.listen(echo));
  await world.reported("probed", moved);
  expect(await exchange(await connectTo(moved.publicPort ?? 0), "hello")).toBe("hello");
});

test("a public port outside the hub's range is never bound", async () => {
  const desired = await world.makeDesired({ publicPort: 22 });
  world.apply(desired);
  expect((await world.reported("port_taken", desired)).message).toMatch(/not one of this hub's/);
});

test("a higher epoch of a deployment takes the place of the lower one, which is refused afterwards", async () => {
  const first = await world.makeDesired({ epoch: 4 });
  const second = { ...(await world.makeDesired({ epoch: 5 })), deploymentId: first.deploymentId };
  world.apply(first);
  await world.reported("open", first);
  world.apply(second);
  await world.reported("closed", first);
  await world.reported("open", second);
  const since = world.reports.length;
  world.apply(first);
  expect(await world.reported("closed", first, since)).toMatchObject({
    message: expect.stringContaining("epoch 5 of this deployment was here already"),
    highestEpoch: 5,
  });
  expect(world.core.reports().map(({ instanceId }) => instanceId)).toEqual([second.instanceId]);
  await expect(connectTo(first.publicPort ?? 0)).rejects.toThrow(/ECONNREFUSED/);
});

test("the whole desired state closes what it does not name, and saying it twice changes nothing", async () => {
  const [kept, left] = [await world.makeDesired(), await world.makeDesired({ deploymentId: DeploymentId.parse(systemRandom.uuid()) })];
  world.apply(kept, left);
  await Promise.all([world.reported("open", kept), world.reported("open", left)]);
  world.startHost(kept, await world.listen(echo));
  await world.reported("probed", kept);
  const socket = await connectTo(kept.publicPort ?? 0);
  const whole = { type: "desired" as const, full: true, endpoints: [kept], closed: [] };
  const since = world.reports.length;
  world.core.apply(whole);
  world.core.apply(whole);
  await world.reported("closed", left);
  expect(world.reports.length).toBe(since + 1);
  expect(await exchange(socket, "still here")).toBe("still here");
});

test("a connection that comes before the host waits for it", async () => {
  const desired = await world.open();
  const answer = exchange(await connectTo(desired.publicPort ?? 0), "early");
  world.startHost(desired, await world.listen(echo));
  expect(await answer).toBe("early");
});

test("a new stream takes the connection with the fewest streams, and never one that stands still", async () => {
  const desired = await world.makeDesired({ probe: "none", publicPort: null });
  world.apply(desired);
  // Two forwarders with one connection each, so that each can tell which streams came to it.
  const arrived: string[] = [];
  const stall = () => new Duplex({ read() {}, write() {} });
  const port = await world.listen(echo);
  let isStalling = true;
  for (const name of ["a", "b"]) {
    const dial = async () => {
      arrived.push(name);
      return isStalling ? stall() : connectTo(port);
    };
    const forwarder = world.startHost(desired, dial, { connections: 1 });
    await expect.poll(() => forwarder.boundConnections).toBe(1);
  }
  const stalled = await world.openAsServer(desired);
  stalled.write(Buffer.alloc(1_000_000));
  isStalling = false;
  const [first] = arrived;
  const others: Duplex[] = [];
  for (let count = 0; count < 6; count += 1) others.push(await world.openAsServer(desired));
  expect(arrived.slice(1).filter((name) => name === first).length).toBeLessThanOrEqual(1); // before it was known to stand still
  expect(await Promise.all(others.map((stream) => exchange(stream, "flows")))).toEqual(others.map(() => "flows"));
});

test("one stranger who fills the public port neither keeps it for themselves nor delays the probe", async () => {
  const desired = await world.open();
  for (let count = 0; count < MAX_PORT_VISITORS_PER_SOURCE; count += 1) await connectTo(desired.publicPort ?? 0);
  const surplus = connect(desired.publicPort ?? 0, "127.0.0.1");
  surplus.on("error", () => {});
  await new Promise((resolve) => surplus.once("close", resolve));
  world.startHost(desired, await world.listen(echo));
  await world.reported("probed", desired);
});
