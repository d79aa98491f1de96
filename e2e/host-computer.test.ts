/** The computer of a host is started again, and its card is copied to another one. */
import { cp } from "node:fs/promises";
import { afterAll, beforeAll, expect } from "vitest";
import { expectSuccess, run, RunningCommand } from "./harness/commands.ts";
import { freshlyBooted, withOtherBootId } from "./harness/computer.ts";
import { describeWithContainers } from "./harness/containers.ts";
import { IS_LONG_RUN, testFailure } from "./harness/failure.ts";
import { containersWith, processesWith } from "./harness/leftovers.ts";
import { Site } from "./harness/site.ts";
import { Person } from "./harness/world.ts";

let site: Site;
beforeAll(async () => {
  site = await Site.build({
    prepare: async (site) => {
      site.within.host = await freshlyBooted(site.folder);
    },
  });
});
afterAll(() => site[Symbol.asyncDispose]());

testFailure(
  {
    component: "host",
    failure: "its folders are copied to another computer, which runs `hardshare ad`",
    userSees: "nothing; `ad` on the copy says that it is refused, and what to do",
    survives: "the instance at the first computer, also when the server is restarted and the copy comes first",
    promise: "G1",
    recovery: "from the server's start until the first computer is connected again",
    withinMs: 15_000,
  },
  async (recovery) => {
    const launched = await site.launchReady();
    const thief = new Person(site.folder, "thief");
    await cp(site.owner.home, thief.home, { recursive: true });
    await using copy = new RunningCommand(["ad"], thief.env, { within: await freshlyBooted(site.folder) });
    expect(await copy.untilLog(/the server refuses this host/)).toMatch(/identity_in_use.*copy.*hardshare register/);

    const hubBack = site.untilPeerBack("hub");
    await site.server.kill();
    // The first computer is slow, so that the copy is the first to come.
    site.host.now.signal("SIGSTOP");
    const refusedAgain = site.server.start().untilLog(/identity_in_use/);
    recovery.begin();
    await refusedAgain;
    const back = site.host.now.untilLog(/"message":"connected to the server"/);
    site.host.now.signal("SIGCONT");
    await back;
    recovery.end();
    await hubBack;
    expect(await site.instance(launched.id)).toMatchObject({ status: "READY", epoch: launched.epoch });
    expect(await site.reach(launched)).toBe(200);
    await site.end(launched);
    expect(await site.programs.terminate.runsFor(launched.id)).toBeGreaterThanOrEqual(1);
  },
);

testFailure(
  {
    component: "host",
    failure: "its computer loses power while an instance is READY, and is started again",
    userSees: "the instance ends, because its host was restarted; the deployment is free",
    survives: "nothing: everything that ran is gone; the hardware is made safe and the terminate programs run",
    promise: "G4",
    recovery:
      "from the daemon's start until the deployment is free, of which the server waits up to 10 s for another computer with this identity",
    withinMs: 30_000,
  },
  async (recovery) => {
    const launched = await site.launchReady();
    await site.host.kill();
    site.within.host = await freshlyBooted(site.folder);
    recovery.begin();
    const daemon = site.host.start();
    await site.untilState(launched.id, "TERMINATED");
    recovery.end();
    await daemon.ready;
    expect(daemon.log).toContain(`"message":"undoing an instance of the daemon before"`);
    expect(await site.instance(launched.id)).toMatchObject({ end_reason: "host_restarted" });
    const { safe_state, terminate } = site.programs;
    expect([await safe_state.runsFor(launched.id), await terminate.runsFor(launched.id)]).toEqual([1, 1]);
    const again = await site.launchReady();
    expect(await site.reach(again)).toBe(200);
    await site.end(again);
  },
);

function withContainer(): void {
  let podman: Site;
  beforeAll(async () => {
    podman = await Site.build({ contract: "provider: podman\n" });
  });
  afterAll(() => podman[Symbol.asyncDispose]());

  testFailure(
    {
      component: "host",
      failure: "its computer loses power while a container instance is READY, and is started again",
      userSees: "the instance ends, because its host was restarted; the deployment is free",
      survives: "nothing: the container, which does not run any more, is removed, and the terminate programs run",
      promise: "G4",
      recovery: "from the daemon's start until the deployment is free, of which the server waits up to 10 s, as above",
      withinMs: 30_000,
    },
    async (recovery) => {
      const { id } = await podman.launchReady();
      await podman.host.kill();
      for (const container of await containersWith(`io.hardshare.instance=${id}`)) await expectSuccess("podman", ["kill", container]);
      const left = (await processesWith(id)).map((line) => line.split(" ")[0] ?? "");
      await run("kill", ["-KILL", ...left]); // some end by themselves meanwhile
      podman.within.host = await withOtherBootId(podman.folder);
      recovery.begin();
      const daemon = podman.host.start();
      await podman.untilState(id, "TERMINATED");
      recovery.end();
      await daemon.ready;
      expect(daemon.log).toMatch(/undoing an instance of the daemon before/);
      expect(daemon.log).toContain('"why":"this computer was started again since"');
      expect(await podman.instance(id)).toMatchObject({ end_reason: "host_restarted" });
      expect(await containersWith(`io.hardshare.instance=${id}`)).toEqual([]);
      expect(await podman.programs.terminate.runsFor(id)).toBe(1);
      await podman.end(await podman.launchReady());
    },
  );
}

// A suite must not be empty.
if (IS_LONG_RUN) describeWithContainers("with a container", withContainer);
