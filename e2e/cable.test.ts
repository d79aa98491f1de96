/** The cable of a host, and then of a hub, is pulled: nobody sends a FIN, and all the same everybody soon knows. */
import { afterAll, beforeAll, expect } from "vitest";
import { Cable } from "./harness/cable.ts";
import { testFailure } from "./harness/failure.ts";
import { FarWorld, loggedAtMs } from "./harness/far-world.ts";
import { expectAnswer } from "./harness/world.ts";

let cable: Cable;
let world: FarWorld;

beforeAll(async () => {
  cable = await Cable.lay();
  world = await FarWorld.create(cable.here);
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await cable[Symbol.asyncDispose]();
});

/** From a cable that was pulled until the server has recorded that its peer is gone. */
async function untilLost(role: "host" | "hub"): Promise<number> {
  const lost = world.server.untilLog(new RegExp(`"channel":"${role}".*heard nothing.*${role} disconnected`));
  const pulledAtMs = Date.now();
  await cable.pull();
  return loggedAtMs(await lost) - pulledAtMs;
}

testFailure(
  {
    component: "network",
    failure: "cable of the host pulled, and plugged in again",
    userSees: "the deployment is shown offline within 5 s, so that it cannot be launched, until the host is back",
    survives: "the deployment, which needs nobody's help to be online again",
    promise: "G9",
    recovery: "from plugging it in until the host is connected again",
    withinMs: 10_000,
  },
  async (recovery) => {
    await using daemon = world.startHost({ within: cable.far });
    await daemon.ready;
    expect(await world.isOnline()).toBe(true);
    expect(await untilLost("host")).toBeLessThan(5000);
    expect(await world.isOnline()).toBe(false);
    const back = world.server.untilLog(/"channel":"host".*host connected/);
    recovery.begin();
    await cable.plugIn();
    await back;
    recovery.end();
    expect(await world.isOnline()).toBe(true);
  },
);

testFailure(
  {
    component: "network",
    failure: "cable of the hub pulled, and plugged in again",
    userSees: "launches end with `no_hub` until the hub is back",
    survives: "the server and its hosts",
    promise: "G9",
    recovery: "from plugging it in until the hub is connected again",
    withinMs: 10_000,
  },
  async (recovery) => {
    await using daemon = world.startHost({});
    await daemon.ready;
    await using hub = world.startHub("hub", { address: cable.there, within: cable.far });
    await hub.ready;
    expect(await untilLost("hub")).toBeLessThan(5000);
    const refused = await world.owner.run(["launch", world.deployment]);
    expect(refused.stderr).toContain("no hub is connected");
    const back = world.server.untilLog(/"channel":"hub".*hub connected/);
    recovery.begin();
    await cable.plugIn();
    await back;
    recovery.end();
    expect(await world.owner.json<{ status: string }>("launch", world.deployment, "--wait")).toMatchObject({ status: "READY" });
    await expectAnswer(world.owner.run(["terminate"]));
  },
);
