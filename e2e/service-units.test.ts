/** Host, hub and server under the units that `hardshare service install` writes: what a stop and a crash end, and what goes on. */
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithContainers } from "./harness/containers.ts";
import { testFailure } from "./harness/failure.ts";
import { containersWith, processesLeft } from "./harness/leftovers.ts";
import { type Launched, Site } from "./harness/site.ts";
import { SystemdUnit } from "./harness/systemd-unit.ts";
import { Unit } from "./harness/unit.ts";

describeWithContainers("under systemd's rules", () => {
  let site: Site;
  let units: Record<"server" | "hub" | "host", Unit>;
  let launched: Launched;

  beforeAll(async () => {
    site = await Site.build({
      contract: "provider: podman\n",
      prepare: async (site) => {
        units = {
          server: await Unit.install(site, "server"),
          hub: await Unit.install(site, "hub"),
          host: await Unit.install(site, "host"),
        };
      },
    });
    launched = await site.launchReady();
  });
  afterAll(async () => {
    await site[Symbol.asyncDispose]();
    for (const unit of Object.values(units)) await unit[Symbol.asyncDispose]();
  });

  const container = () => containersWith(`io.hardshare.instance=${launched.id}`);
  const isReachable = () => site.greet(launched);

  testFailure(
    {
      component: "server",
      failure: "stopped by `systemctl stop`, and started",
      userSees: "commands end with `server_unreachable` until it is started; connections through the hub go on",
      survives: "instances, tunnels and public ports; PostgreSQL ends with it",
      promise: "G9",
      recovery: "from its start until host and hub are connected again",
      withinMs: 15_000,
    },
    async (recovery) => {
      await units.server.stop();
      expect(await units.server.processes()).toEqual([]);
      expect(await isReachable()).toMatch(/^SSH-2.0/);
      const back = site.untilPeersBack();
      recovery.begin();
      await site.server.start().ready;
      await back;
      recovery.end();
      expect(await site.instance(launched.id)).toMatchObject({ status: "READY" });
    },
  );

  testFailure(
    {
      component: "hub",
      failure: "stopped by `systemctl stop`, and started",
      userSees: "connections break; they can be made again at the same address and port",
      survives: "instances, with their endpoints and ports",
      promise: "G9",
      recovery: "from its start until the instance is reached through its public port",
      withinMs: 5000,
    },
    async (recovery) => {
      await units.hub.stop();
      expect(await units.hub.processes()).toEqual([]);
      recovery.begin();
      await site.hub.start().untilLog(new RegExp(`${launched.id}.*"status":"probed"`));
      expect(await isReachable()).toMatch(/^SSH-2.0/);
      recovery.end();
    },
  );

  testFailure(
    {
      component: "host",
      failure: "daemon crashes under systemd while a container instance is READY",
      userSees: "connections break; they can be made again at the same address and port",
      survives:
        "the container and all that runs in it; filters and relay end with the daemon, the hardware is made safe, and its successor makes them anew",
      promise: "G2",
      recovery: "from the daemon's start until the instance is reached through its public port",
      withinMs: 10_000,
    },
    async (recovery) => {
      const before = await container();
      expect(before).toHaveLength(1);
      await units.host.crash();
      expect(await container()).toEqual(before);
      recovery.begin();
      const probed = site.hub.now.untilLog(new RegExp(`${launched.id}.*"status":"probed"`));
      const daemon = site.host.start();
      await probed;
      expect(await isReachable()).toMatch(/^SSH-2.0/);
      recovery.end();
      await daemon.ready;
      expect(daemon.log).toContain(`"message":"adopting an instance of the daemon before"`);
      expect(await container()).toEqual(before);
      expect(await site.programs.safe_state.runsFor(launched.id)).toBe(1);
      expect(await site.programs.terminate.runsFor(launched.id)).toBe(0);
    },
  );

  testFailure(
    {
      component: "host",
      failure: "stopped by `systemctl stop`, and started",
      userSees: "the instance ends, because its host was stopped; the deployment is offline until the host is started",
      survives: "nothing of the instance: the daemon ends it in order, with its terminate programs",
      promise: "G4",
      recovery: "from its start until a launch is READY",
      withinMs: 15_000,
    },
    async (recovery) => {
      await units.host.stop();
      expect(await site.instance(launched.id)).toMatchObject({ status: "TERMINATED", end_reason: "host_stopped" });
      expect(await site.programs.terminate.runsFor(launched.id)).toBe(1);
      expect(await container()).toEqual([]);
      expect(await processesLeft(launched.id)).toEqual([]);
      expect(await units.host.processes()).toEqual([]);
      recovery.begin();
      await site.host.start().ready;
      const again = await site.launchReady();
      recovery.end();
      await site.end(again);
    },
  );
});

test("systemd itself starts a server's unit, starts it again after a crash, and stops it", async (context) => {
  const first = (await readFile("/proc/1/comm", "utf8")).trim();
  if (first !== "systemd") context.skip(`needs systemd as PID 1; here that is ${first}`);
  await using server = await SystemdUnit.start("server");
  const before = await server.mainPid();
  await server.crash();
  expect(await server.mainPid()).not.toBe(before);
  await server.stop();
  expect(await server.processes()).toEqual([]);
});
