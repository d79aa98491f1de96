/** Server and host cannot reach each other when the time of an instance is over. */
import { afterAll, beforeAll, expect } from "vitest";
import { Cable } from "./harness/cable.ts";
import { testFailure } from "./harness/failure.ts";
import { type Launched, Site } from "./harness/site.ts";

let cable: Cable;
let site: Site;
beforeAll(async () => {
  cable = await Cable.lay();
  site = await Site.build({
    address: cable.here,
    // The robot is on this computer, out of the host's reach: its filter need not find it.
    contract: "provider: proxy\nprobe: none\n",
    prepare: async (site) => {
      site.within.host = cable.far;
    },
  });
});
afterAll(async () => {
  await site[Symbol.asyncDispose]();
  await cable[Symbol.asyncDispose]();
});

/** How long the instances here live, on a machine that has nothing else to do. */
const LIFE_S = 5;
/** For what a test does to an instance before its time is over. */
const MIN_LEFT_MS = 3000;

/** An instance that is READY, and whose time is over soon. */
async function launchBriefly(): Promise<Launched> {
  for (let lifeS = LIFE_S; ; lifeS *= 2) {
    const { id, expires } = await site.launch({ expire_d: lifeS });
    const events = await site.untilState(id, "READY").catch(() => undefined);
    if (events !== undefined && Date.parse(`${expires}Z`) - Date.now() > MIN_LEFT_MS) return site.instance(id);
    await site.untilState(id, "TERMINATED"); // the launch took too long: the machine is busy
  }
}

testFailure(
  {
    component: "server",
    failure: "dead when the time of an instance is over",
    userSees: "the instance ends in time; commands end with `server_unreachable` until the server is back, and then say `expired`",
    survives: "the deadline: the host ends the instance by itself",
    promise: "G3",
    recovery: "from the deadline until the terminate programs run",
    withinMs: 5000,
  },
  async (recovery) => {
    const launched = await launchBriefly();
    await site.programs.terminate.hold();
    await site.server.kill();
    const ran = site.programs.terminate.untilHeld();
    const deadline = Date.parse(`${launched.expires}Z`);
    expect(await ran).toBe(launched.id);
    recovery.since(deadline);
    recovery.end();
    await site.programs.terminate.letGo();
    const back = site.untilPeersBack();
    await site.server.start().ready;
    await site.untilState(launched.id, "TERMINATED");
    await back;
    expect(await site.instance(launched.id)).toMatchObject({ end_reason: "expired" });
    expect(await site.programs.terminate.runsFor(launched.id)).toBe(1);
    expect((await site.shared()).lockout).toBeUndefined();
  },
);

testFailure(
  {
    component: "network",
    failure: "cable of the host pulled, and still out when the time of an instance is over",
    userSees: 'the instance ends as TERMINATED; its deployment is locked out, "host not confirmed", until the cable is plugged in again',
    survives: "the deadline, at both ends; nobody has to unlock",
    promise: "G4",
    recovery: "from plugging it in until the deployment can be launched again",
    withinMs: 10_000,
  },
  async (recovery) => {
    const launched = await launchBriefly();
    await cable.pull();
    const events = await site.untilState(launched.id, "TERMINATED");
    expect(events.findLast(({ kind }) => kind === "alert")?.data["message"]).toContain("host not confirmed");
    expect(await site.shared()).toMatchObject({ online: false, lockout: true });
    // The host did not wait for anybody.
    expect(await site.programs.terminate.runsFor(launched.id)).toBe(1);
    const lifted = site.server.now.untilLog(/"message":"lock-out lifted/);
    const back = site.untilPeerBack("host");
    recovery.begin();
    await cable.plugIn();
    await lifted;
    recovery.end();
    await back;
    const again = await site.launchReady();
    await site.end(again);
  },
);
