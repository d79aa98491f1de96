/** Server, hub and host daemon are killed while an instance begins and ends; crash.test.ts has what runs. */
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import type { CommandResult } from "./harness/commands.ts";
import { type Recovery, testFailure } from "./harness/failure.ts";
import { type Launched, Site } from "./harness/site.ts";
import { expectAnswer } from "./harness/world.ts";

let site: Site;
beforeAll(async () => {
  site = await Site.build();
});
afterAll(() => site[Symbol.asyncDispose]());

// Whatever a test did to it, the deployment can be launched again, once, and no program ran twice.
afterEach(async () => {
  const again = await site.launchReady();
  expect(again.status).toBe("READY");
  expect(await site.reach(again)).toBe(200);
  await site.end(again);
});

/** Launches, and waits until the init program waits. */
async function launchHeld(): Promise<Launched> {
  await site.programs.init.hold();
  const launched = await site.launch();
  expect(await site.programs.init.untilHeld()).toBe(launched.id);
  return launched;
}

/** Launches, and ends it until the terminate program waits. */
async function endHeld(): Promise<{ launched: Launched; ended: Promise<CommandResult> }> {
  const launched = await site.launchReady();
  await site.programs.terminate.hold();
  const ended = site.owner.run(["terminate", launched.id]);
  expect(await site.programs.terminate.untilHeld()).toBe(launched.id);
  return { launched, ended };
}

async function expectRuns(id: string, runs: { init: number; terminate: number }): Promise<void> {
  const { init, terminate } = site.programs;
  expect({ init: await init.runsFor(id), terminate: await terminate.runsFor(id) }).toEqual(runs);
}

/** Starts the daemon again after it was killed, which says that it undoes the instance. @param untilOver begins to wait for the end of that */
async function undoWithNextDaemon(recovery: Recovery, untilOver: () => Promise<unknown>): Promise<void> {
  recovery.begin();
  const daemon = site.host.start();
  await untilOver();
  recovery.end();
  await daemon.ready;
  expect(daemon.log).toContain(`"message":"undoing an instance of the daemon before"`);
}

testFailure(
  {
    component: "server",
    failure: "killed while an instance is in INIT",
    userSees: "commands end with `server_unreachable` until it is back; the launch then goes on",
    survives: "the launch, which is not begun a second time",
    promise: "G9",
    recovery: "from the kill until host and hub are connected again",
    withinMs: 15_000,
  },
  async (recovery) => {
    const { id } = await launchHeld();
    recovery.begin();
    const back = site.untilPeersBack();
    await site.server.kill();
    expect((await site.owner.run(["info", id, "--format", "json"])).stderr).toContain('"code":"server_unreachable"');
    await site.server.start().ready;
    await back;
    recovery.end();
    expect(await site.instance(id)).toMatchObject({ status: "INIT", epoch: expect.any(Number) as number });
    await site.programs.init.letGo();
    await site.untilState(id, "READY");
    expect(await site.reach(await site.instance(id))).toBe(200);
    await expectRuns(id, { init: 1, terminate: 0 });
    await site.end({ id });
    await expectRuns(id, { init: 1, terminate: 1 });
  },
);

testFailure(
  {
    component: "server",
    failure: "killed while an instance is TERMINATING",
    userSees: "`hardshare terminate` goes on waiting, and ends when the instance has",
    survives: "the end, which the host brings about without the server",
    promise: "G2",
    recovery: "from the kill until the instance is TERMINATED",
    withinMs: 15_000,
  },
  async (recovery) => {
    const { launched, ended } = await endHeld();
    recovery.begin();
    await site.server.kill();
    await site.programs.terminate.letGo();
    const back = site.untilPeersBack();
    await site.server.start().ready;
    await expectAnswer(ended);
    recovery.end();
    await back;
    expect(await site.instance(launched.id)).toMatchObject({ status: "TERMINATED", end_reason: "user" });
    await expectRuns(launched.id, { init: 1, terminate: 1 });
  },
);

testFailure(
  {
    component: "hub",
    failure: "killed while an instance is in INIT",
    userSees: "nothing: the launch takes a little longer",
    survives: "the launch, its endpoint and its port",
    promise: "G9",
    recovery: "from the hub's start until the instance is READY",
    withinMs: 5000,
  },
  async (recovery) => {
    const { id } = await launchHeld();
    const { fwd } = await site.instance(id);
    await site.hub.kill();
    recovery.begin();
    await site.hub.start().ready;
    await site.programs.init.letGo();
    await site.untilState(id, "READY");
    recovery.end();
    const launched = await site.instance(id);
    expect(launched.fwd).toEqual(fwd ?? launched.fwd);
    expect(await site.reach(launched)).toBe(200);
    await expectRuns(id, { init: 1, terminate: 0 });
    await site.end({ id });
  },
);

testFailure(
  {
    component: "hub",
    failure: "killed while an instance is READY",
    userSees: "connections break; they can be made again at the same address and port",
    survives: "the instance, its endpoint and its port",
    promise: "G9",
    recovery: "from the hub's start until the robot is reached through the public port",
    withinMs: 5000,
  },
  async (recovery) => {
    const launched = await site.launchReady();
    await site.hub.kill();
    recovery.begin();
    await site.hub.start().untilLog(new RegExp(`${launched.id}.*"status":"probed"`));
    expect(await site.reach(launched)).toBe(200);
    recovery.end();
    expect(await site.instance(launched.id)).toMatchObject({ status: "READY", fwd: launched.fwd });
    await expectRuns(launched.id, { init: 1, terminate: 0 });
    await site.end(launched);
  },
);

testFailure(
  {
    component: "hub",
    failure: "killed while an instance is TERMINATING",
    userSees: "nothing",
    survives: "the end; a new launch is reachable when the hub is back",
    promise: "G9",
    recovery: "from the hub's start until a new launch is reached through its public port",
    withinMs: 5000,
  },
  async (recovery) => {
    const { launched, ended } = await endHeld();
    await site.hub.kill();
    await site.programs.terminate.letGo();
    await expectAnswer(ended);
    await expectRuns(launched.id, { init: 1, terminate: 1 });
    recovery.begin();
    await site.hub.start().ready;
    const next = await site.launchReady();
    expect(await site.reach(next)).toBe(200);
    recovery.end();
    await site.end(next);
  },
  { isLong: true },
);

testFailure(
  {
    component: "host",
    failure: "daemon killed while an instance is in INIT",
    userSees: "the launch ends, because its host was restarted; the deployment is free",
    survives: "nothing of the launch: it is undone, and its terminate programs run",
    promise: "G4",
    recovery: "from the daemon's start until the deployment is free",
    withinMs: 10_000,
  },
  async (recovery) => {
    const { id } = await launchHeld();
    await site.host.kill();
    await site.programs.init.holdNoMore();
    await undoWithNextDaemon(recovery, () => site.untilState(id, "TERMINATED"));
    expect(await site.instance(id)).toMatchObject({ status: "TERMINATED", end_reason: "host_restarted" });
    await expectRuns(id, { init: 1, terminate: 1 });
  },
);

testFailure(
  {
    component: "host",
    failure: "daemon killed while a `proxy` instance is READY",
    userSees: "the instance ends, because its host was restarted; the deployment is free",
    survives: "nothing: its filters died with the daemon, so the hardware is made safe and its terminate programs run",
    promise: "G4",
    recovery: "from the daemon's start until the deployment is free",
    withinMs: 10_000,
  },
  async (recovery) => {
    const { id } = await site.launchReady();
    await site.host.kill();
    await undoWithNextDaemon(recovery, () => site.untilState(id, "TERMINATED"));
    expect(await site.instance(id)).toMatchObject({ status: "TERMINATED", end_reason: "host_restarted" });
    expect(await site.programs.safe_state.runsFor(id)).toBe(1);
    await expectRuns(id, { init: 1, terminate: 1 });
  },
);

testFailure(
  {
    component: "host",
    failure: "daemon killed while an instance is TERMINATING",
    userSees: "the end takes longer",
    survives: "the end: the terminate programs are run again from their beginning",
    promise: "G4",
    recovery: "from the daemon's start until the deployment is free",
    withinMs: 10_000,
  },
  async (recovery) => {
    const { launched, ended } = await endHeld();
    await site.host.kill();
    await site.programs.terminate.holdNoMore();
    await undoWithNextDaemon(recovery, () => expectAnswer(ended));
    expect(await site.instance(launched.id)).toMatchObject({ status: "TERMINATED", end_reason: "user" });
    await expectRuns(launched.id, { init: 1, terminate: 2 });
  },
);
