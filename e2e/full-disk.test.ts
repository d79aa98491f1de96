/** The disk of the host, and then of the server, is full. */
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import { testFailure } from "./harness/failure.ts";
import { type Launched, Site } from "./harness/site.ts";
import { SmallDisk } from "./harness/small-disk.ts";

let site: Site;
let hostDisk: SmallDisk;
let serverDisk: SmallDisk;
beforeAll(async () => {
  site = await Site.build({
    prepare: async ({ folder, serverFolder }) => {
      hostDisk = await SmallDisk.mount(join(folder, "owner"), 4);
      serverDisk = await SmallDisk.mount(serverFolder, 150);
    },
  });
});
afterAll(async () => {
  for (const disk of [hostDisk, serverDisk]) await disk[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
});

/** A full disk has room in the last block of each file: launches until a filter can't keep budgets, or the journal's is used up. */
async function launchUntilRefused(): Promise<Launched> {
  for (let attempt = 0; attempt < 20; attempt++) {
    const { id } = await site.launch();
    const events = await site.untilState(id, "READY").catch(() => undefined);
    if (events === undefined) return site.instance(id);
    await site.end({ id });
  }
  throw new Error("the disk never got full");
}

testFailure(
  {
    component: "host",
    failure: "its disk is full",
    userSees: "launches end as INIT_FAIL in the step `journal` or `filters`, which says that space is to be freed",
    survives: "the instance that runs, its terminate and safe_state programs",
    promise: "G4",
    recovery: "from room on the disk until a launch is READY, without a restart",
    withinMs: 10_000,
  },
  async (recovery) => {
    const running = await site.launchReady();
    await hostDisk.fill();
    expect(await site.reach(running)).toBe(200);
    await site.end(running);
    expect(await site.programs.terminate.runsFor(running.id)).toBe(1);
    const { failed_step, failed_log } = await launchUntilRefused();
    expect({ failed_step, failed_log }).toMatchObject({
      failed_step: expect.stringMatching(/^(?:journal|filters)$/) as string,
      failed_log: expect.stringContaining("free some space") as string,
    });
    recovery.begin();
    await hostDisk.makeRoom();
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
    const running = await site.launchReady();
    await hostDisk.fill();
    await site.host.kill();
    recovery.begin();
    const daemon = site.host.start();
    await site.untilState(running.id, "TERMINATED");
    recovery.end();
    await daemon.ready;
    const { safe_state, terminate } = site.programs;
    expect([await safe_state.runsFor(running.id), await terminate.runsFor(running.id)]).toEqual([1, 1]);
    await hostDisk.makeRoom();
    const again = await site.launchReady();
    await site.end(again);
  },
);

testFailure(
  {
    component: "server",
    failure: "its disk is full",
    userSees: "commands end with `store_unavailable`, which says that space is to be freed",
    survives: "the instance that runs and its public port",
    promise: "G2",
    recovery: "from room on the disk until a launch is READY, without a restart",
    withinMs: 15_000,
  },
  async (recovery) => {
    const running = await site.launchReady();
    await serverDisk.fill();
    expect(await askUntilRefused()).toMatch(/503.*disk is full.*store_unavailable/);
    expect(await site.reach(running)).toBe(200);
    recovery.begin();
    await serverDisk.makeRoom();
    await site.end(running);
    const again = await site.launchReady();
    recovery.end();
    await site.end(again);
  },
  { isLong: true },
);

testFailure(
  {
    component: "server",
    failure: "its disk is so full that PostgreSQL ends",
    userSees: "commands end with `store_unavailable`",
    survives: "the instance that runs and its public port",
    promise: "G2",
    recovery: "from room on the disk until a launch is READY, without a restart",
    withinMs: 15_000,
  },
  async (recovery) => {
    const running = await site.launchReady();
    await serverDisk.fill();
    expect(await askUntilRefused()).toMatch(/503.*disk is full.*store_unavailable/);
    const postmaster = (await readFile(join(site.serverFolder, "postgresql/postmaster.pid"), "utf8")).split("\n")[0];
    const cannotStart = site.server.now.untilLog(/PostgreSQL cannot be started; trying again/);
    process.kill(Number(postmaster), "SIGKILL");
    expect(await cannotStart).toMatch(/disk is full|No space left/);
    expect(await askUntilRefused()).toContain("store_unavailable");
    expect(await site.reach(running)).toBe(200);
    const runsAgain = site.server.now.untilLog(/PostgreSQL runs again/);
    recovery.begin();
    await serverDisk.makeRoom();
    await runsAgain;
    await site.end(running);
    const again = await site.launchReady();
    recovery.end();
    await site.end(again);
  },
);

/** Writes to the store until it refuses. @returns its refusal */
async function askUntilRefused(): Promise<string> {
  for (let attempt = 0; attempt < 5000; attempt++) {
    try {
      await site.ask("POST", "/admin/users", { name: `user-${randomUUID()}` });
    } catch (error) {
      return (error as Error).message;
    }
  }
  throw new Error("the disk never got full");
}
