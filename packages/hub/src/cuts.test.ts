import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { Duplex } from "node:stream";
import type { DesiredEndpoint } from "@hardshare/protocol";
import { systemClock } from "@hardshare/runtime";
import type { BoundedChannel } from "@hardshare/wire/ssh";
import { afterEach, beforeEach, expect, test } from "vitest";
import { connectTo, echo, exchange, HubWorld, MAX_REDIAL_MS } from "./testing/hub-world.fixture.ts";

let world: HubWorld;
beforeEach(async () => {
  world = await HubWorld.start();
});
afterEach(() => world[Symbol.asyncDispose]());

/** An endpoint that is probed and leads to an echo. */
async function makeProbed(given: Partial<DesiredEndpoint> = {}): Promise<DesiredEndpoint> {
  const desired = await world.open(given);
  world.startHost(desired, await world.listen(echo));
  await world.reported("probed", desired);
  return desired;
}

/** A connection through the public port that is known to work. */
async function enter(desired: DesiredEndpoint): Promise<Socket> {
  const socket = await connectTo(desired.publicPort ?? 0);
  socket.write("ping");
  await once(socket, "data");
  return socket;
}

/** How a connection ends: `end`, or the code of its error. */
function outcomeOf(stream: Duplex): Promise<string> {
  return new Promise((resolve) => {
    stream.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    stream.once("end", () => resolve("end"));
    stream.resume();
  });
}

/** Writes on and on until the stream stands still. @returns the bytes taken so far, at any later time */
async function fill(stream: BoundedChannel): Promise<() => number> {
  let taken = 0;
  const writeMore = () => {
    stream.write(Buffer.alloc(16 * 1024), (error) => {
      if (error) return;
      taken += 16 * 1024;
      writeMore();
    });
  };
  writeMore();
  await expect.poll(() => stream.isStalled).toBe(true);
  return () => taken;
}

test("closing an endpoint resets all its connections at once and frees its port", async () => {
  const desired = await makeProbed();
  const user = await enter(desired);
  const throughServer = await world.openAsServer(desired);
  const outcomes = Promise.all([outcomeOf(user), outcomeOf(throughServer)]);
  world.close(desired);
  expect(await outcomes).toEqual(["ECONNRESET", "connection_lost"]);
  await world.reported("closed", desired);
  await expect(connectTo(desired.publicPort ?? 0)).rejects.toThrow(/ECONNREFUSED/);
  await expect(world.openAsServer(desired)).rejects.toThrow(/no such instance/);
  // The same port serves another instance now, and the former host can't come back.
  const next = await world.makeDesired({ publicPort: desired.publicPort });
  world.apply(next);
  await world.reported("open", next);
});

test("closing is said again when the server asks again", async () => {
  const desired = await makeProbed();
  world.close(desired);
  const since = world.reports.length;
  world.close(desired);
  await world.reported("closed", desired, since);
});

test("a changed firewall cuts those who may no longer come, and nobody else", async () => {
  const desired = await makeProbed();
  const local = await enter(desired);
  const remote = await world.openAsServer(desired, "192.0.2.9");
  const outcome = outcomeOf(local);
  world.apply({ ...desired, firewall: [{ source: "192.0.2.0/24", action: "ACCEPT" }] });
  expect(await outcome).toBe("ECONNRESET");
  expect(await exchange(remote, "still here")).toBe("still here");
});

test("another forwarder key ends the connections of the host that held the former one", async () => {
  const desired = await makeProbed();
  const since = world.reports.length;
  world.apply({ ...desired, forwarderKey: world.user.publicKey });
  await world.reported("open", desired, since);
});

test("when the hub comes back the host forwards again, and never waits for more than 2.5 s to try", async () => {
  const desired = await world.open();
  const delays: number[] = [];
  let failures = 0;
  world.startHost(desired, await world.listen(echo), {
    clock: {
      ...systemClock,
      // Delays of the back-off are noted and left out.
      after: (delayMs, run) => systemClock.after(delayMs <= MAX_REDIAL_MS && delays.push(delayMs) > 0 ? 0 : delayMs, run),
    },
    onError: () => void (failures += 1),
  });
  await world.reported("probed", desired);
  const user = await enter(desired);
  const outcome = outcomeOf(user);
  await world.stopHub();
  expect(await outcome).toBe("ECONNRESET");
  await expect.poll(() => failures).toBeGreaterThan(20); // an outage, in which hosts have begun to wait longer between attempts
  await world.startHub();
  const since = world.reports.length;
  world.apply(desired);
  await world.reported("probed", desired, since);
  expect(Math.max(...delays)).toBeGreaterThan(MAX_REDIAL_MS / 2);
  expect(await exchange(await connectTo(desired.publicPort ?? 0), "back")).toBe("back");
});

test("towards a stalled instance hub and host hold at most 256 kB each, and other streams flow", async () => {
  const desired = await world.open({ publicPort: null, probe: "none" });
  const port = await world.listen(echo);
  const targets: Duplex[] = [new Duplex({ read() {}, write() {} })];
  world.startHost(desired, async () => targets.shift() ?? connectTo(port));
  await world.reported("probed", desired);
  const taken = await fill(await world.openAsServer(desired));
  expect(await exchange(await world.openAsServer(desired), "flows")).toBe("flows");
  expect(taken()).toBeGreaterThan(128 * 1024);
  expect(taken()).toBeLessThanOrEqual(2 * 256 * 1024);
});

test("towards a stalled user hub and host take at most 256 kB each from a sender that never waits", async () => {
  const desired = await world.open({ publicPort: null, probe: "none" });
  const port = await world.listen(echo);
  let sent = 0;
  const endless = new Duplex({
    read(size) {
      sent += size;
      this.push(Buffer.alloc(size));
    },
    write: (_chunk, _encoding, done) => done(),
  });
  const targets: Duplex[] = [endless];
  world.startHost(desired, async () => targets.shift() ?? connectTo(port));
  await world.reported("probed", desired);
  const unread = await world.openAsServer(desired);
  await expect.poll(() => unread.isStalled).toBe(true);
  expect(await exchange(await world.openAsServer(desired), "flows")).toBe("flows");
  expect(sent).toBeGreaterThan(128 * 1024);
  expect(sent).toBeLessThanOrEqual(3 * 256 * 1024); // the third is the server's end of the stream
  unread.destroy();
});

test("a user who connects and is gone before the host has answered leaves nothing behind", async () => {
  const desired = await world.open();
  const gone = connect(desired.publicPort ?? 0, "127.0.0.1");
  await once(gone, "connect");
  gone.resetAndDestroy();
  world.startHost(desired, await world.listen(echo));
  await world.reported("probed", desired);
  expect(await exchange(await connectTo(desired.publicPort ?? 0), "next")).toBe("next");
});
