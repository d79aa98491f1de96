import { access, watch } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";
import { describeWithContainers } from "./harness/containers.ts";
import { run } from "./harness/commands.ts";
import { testFailure } from "./harness/failure.ts";
import { containersWith, processesWith } from "./harness/leftovers.ts";
import { expectAnswer, type Person, World } from "./harness/world.ts";

interface Launched {
  id: string;
  status: string;
  ssh_config: string;
  fwd: { port: number };
}

describeWithContainers("programs that are killed", () => {
  let world: World;
  let admin: Person;
  let deployment: string;
  let launched: Launched;

  beforeAll(async () => {
    world = await World.create();
    admin = await world.admin();
    deployment = world.deployment("podman");
  });

  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    launched = await admin.json<Launched>("launch", deployment, "--wait");
  });

  afterEach(async () => {
    await expectAnswer(admin.run(["terminate", launched.id]));
    expect(await containersWith(`io.hardshare.instance=${launched.id}`)).toEqual([]);
  });

  /** Kills one of the programs that `up` runs; resolves with what tells that it is back. */
  async function kill<Sign>(program: string, isBack: () => Promise<Sign>): Promise<Sign> {
    const found = (await processesWith(world.dataFolder)).filter(
      (line) => line.includes(` --format json ${program} `) || line.endsWith(` --format json ${program}`),
    );
    expect(found).toHaveLength(1);
    const back = isBack();
    process.kill(Number(found[0]?.split(" ")[0]), "SIGKILL");
    return back;
  }

  function untilProbed(): Promise<string> {
    return world.up.untilLog(new RegExp(`${launched.id}.*"status":"probed"`));
  }

  function ssh(suffix = ""): Promise<{ code: number | null; stdout: string }> {
    return run("ssh", ["-F", launched.ssh_config, `${deployment}${suffix}`, "hostname"], { env: admin.env });
  }

  testFailure(
    {
      component: "server",
      failure: "killed while an instance is READY",
      userSees: "connections through the hub go on; commands end with `server_unreachable` until it is back",
      survives: "the instance and its public port; `up` or systemd starts the server again",
      promise: "G9",
      recovery: "from the kill until the host is connected again",
      withinMs: 15_000,
    },
    async (recovery) => {
      recovery.begin();
      const back = kill("serve", () => world.up.untilLog(/"message":"host connected"/));
      expect((await ssh()).code).toBe(0);
      await back;
      recovery.end();
      expect(await admin.json<Launched>("info", launched.id)).toMatchObject({ status: "READY", fwd: launched.fwd });
      expect((await ssh("-ws")).code).toBe(0);
    },
  );

  testFailure(
    {
      component: "hub",
      failure: "killed while a container instance is READY, under `hardshare up`",
      userSees: "connections break; they can be made again at the same address and port",
      survives: "the instance, its endpoint and its port",
      promise: "G9",
      recovery: "from the kill, with the restart by `up`, until a command ran by ssh",
      withinMs: 10_000,
    },
    async (recovery) => {
      recovery.begin();
      await kill("hub", untilProbed);
      expect((await ssh()).code).toBe(0);
      recovery.end();
      expect((await ssh("-jump")).code).toBe(0);
      expect(await admin.json<Launched>("info", launched.id)).toMatchObject({ status: "READY", fwd: launched.fwd });
    },
  );

  testFailure(
    {
      component: "host",
      failure: "daemon killed while a container instance is READY",
      userSees: "connections break; they can be made again at the same address and port",
      survives: "the container and all that runs in it: the next daemon adopts it",
      promise: "G2",
      recovery: "from the kill, with the restart by `up`, until a command ran by ssh",
      withinMs: 10_000,
    },
    async (recovery) => {
      const before = await containersWith(`io.hardshare.instance=${launched.id}`);
      recovery.begin();
      await kill("ad", untilProbed);
      expect((await ssh()).code).toBe(0);
      recovery.end();
      expect(await containersWith(`io.hardshare.instance=${launched.id}`)).toEqual(before);
    },
  );

  testFailure(
    {
      component: "robot",
      failure: "its program is killed, and comes back at the same address",
      userSees: "requests to the robot fail until it is back",
      survives: "the instance and its connections",
      promise: "G9",
      recovery: "from the kill until the robot answers the instance",
      withinMs: 10_000,
    },
    async (recovery) => {
      recovery.begin();
      // The robot makes its serial line (with socat) when its HTTP API listens already; it says nothing else.
      await kill("sim", () => untilLinked(join(world.dataFolder, "robot-serial")));
      const inside = ["-F", launched.ssh_config, deployment, "curl -s -o /dev/null -w '%{http_code}' http://$ROBOT/api/battery"];
      expect((await run("ssh", inside, { env: admin.env })).stdout).toBe("200");
      recovery.end();
      expect(await admin.json<Launched>("info", launched.id)).toMatchObject({ status: "READY", fwd: launched.fwd });
    },
  );
});

/** Resolves when a link is made anew, by which something can be opened. */
async function untilLinked(link: string): Promise<void> {
  for await (const { filename } of watch(dirname(link))) {
    if (filename === basename(link) && (await isThere(link))) return;
  }
}

async function isThere(link: string): Promise<boolean> {
  return access(link).then(
    () => true,
    () => false,
  );
}
