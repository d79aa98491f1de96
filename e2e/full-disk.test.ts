/** The disk of the host, and then of the server, is full. */
import { join } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import { testFailure } from "./harness/failure.ts";
import { type Launched, Site } from "./harness/site.ts";
import { SmallDisk } from "./harness/small-disk.ts";

let site: Site;
const disks: SmallDisk[] = [];
beforeAll(async () => {
  site = await Site.build({
    prepare: async ({ folder, serverFolder }) => {
      disks.push(await SmallDisk.mount(join(folder, "owner"), 4), await SmallDisk.mount(serverFolder, 150));
    },
  });
});
afterAll(async () => {
  for (const disk of disks) await disk[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
});

/** A full disk has room in the last block of each file: launches until the journal's is used up. */
async function launchUntilRefused(): Promise<Launched> {
  for (let attempt = 0; attempt < 20; attempt++) {
    const { id } = await site.launch();
    const events = await site.untilState(id, "READY").catch(() => undefined);
    if (events === undefined) return site.instance(id);
    await site.end({ id });
  }
  throw new Error("the journal never got full");
}

testFailure(
  {
    component: "host",
    failure: "its disk is full",
    userSees: "launches end as INIT_FAIL in the step `journal`, which says that space is to be freed",
    survives: "the instance that runs, its terminate and safe_state programs",
    promise: "G4",
    recovery: "from room on the disk until a launch is READY, without a restart",
    withinMs: 10_000,
  },
  async (recovery) => {
    const [disk] = disks;
    const running = await site.launchReady();
    await disk!.fill();
    expect(await site.reach(running)).toBe(200);
    await site.end(running);
    expect(await site.programs.terminate.runsFor(running.id)).toBe(1);
    const { failed_step, failed_log } = await launchUntilRefused();
    expect({ failed_step, failed_log }).toMatchObject({ failed_step: "journal", failed_log: expect.stringContaining("free some space") as string });
    recovery.begin();
    await disk!.makeRoom();
    const again = await site.launchReady();
    recovery.end();
    await site.end(again);
  },
);

testFailure(
  {
    component: "host",
    failure: "its disk is full, and its daemon is killed while an instance is READY",
    userSees: "the instance ends, because its host was restarted",
    survives: "its terminate and safe_state programs",
    promise: "G4",
    recovery: "from the daemon's start until the instance has ended",
    withinMs: 10_000,
  },
  async (recovery) => {
    const [disk] = disks;
    const running = await site.launchReady();
    await disk!.fill();
    await site.host.kill();
    recovery.begin();
    const daemon = site.host.start();
    await site.untilState(running.id, "TERMINATED");
    recovery.end();
    await daemon.ready;
    const { safe_state, terminate } = site.programs;
    expect([await safe_state.runsFor(running.id), await terminate.runsFor(running.id)]).toEqual([1, 1]);
    await disk!.makeRoom();
    const again = await site.launchReady();
    await site.end(again);
  },
);
