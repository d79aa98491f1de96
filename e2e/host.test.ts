import { randomUUID } from "node:crypto";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithContainers } from "./harness/containers.ts";
import { expectSuccess } from "./harness/commands.ts";
import { followEvents } from "./harness/events.ts";
import { OwnHost } from "./harness/own-host.ts";
import { containersWith, networksWith, processesLeft, processesWith } from "./harness/leftovers.ts";
import { expectAnswer, type Person, World } from "./harness/world.ts";

interface Launched {
  id: string;
  status: string;
  ssh_config: string;
  failed_step?: string;
}

describeWithContainers("a host of its own", () => {
  let world: World;
  let owner: Person;
  let host: OwnHost;
  /** An argument of the init program that hangs, which tells its process from all others on this machine. */
  const hanging = `hang-${randomUUID()}`;
  /** A named pipe by which that program says that it runs. */
  let running: string;
  const ids = { failing: "", hanging: "", plain: "" };

  beforeAll(async () => {
    world = await World.create();
    owner = await world.user("olga");
    host = new OwnHost(owner);
    await owner.prepare("init", "--server", world.ready.url);
    const marker = join(world.folder, "terminated");
    await writeFile(join(world.folder, "note-end.sh"), `#!/bin/sh\necho "$HARDSHARE_INSTANCE $HARDSHARE_EVENT" >> ${marker}\n`, {
      mode: 0o755,
    });
    const arm = join(world.folder, "home-arm.sh");
    await writeFile(arm, "#!/bin/sh\necho homing the arm\necho joint 3 does not move >&2\nexit 4\n", { mode: 0o755 });
    running = join(world.folder, "running");
    await expectSuccess("mkfifo", [running]);
    const hang = join(world.folder, "hang.sh");
    await writeFile(hang, `#!/bin/sh\necho runs > ${running}\nsleep 100000\n`, { mode: 0o755 });
    ids.failing = await host.share(`provider: podman\ninit: [${arm}]\n`);
    ids.hanging = await host.share(`provider: podman\ninit: [${hang} ${hanging}]\nterminate: [${join(world.folder, "note-end.sh")}]\n`);
    ids.plain = await host.share("provider: podman\n");
    await host.advertise();
  });

  afterAll(async () => {
    await host[Symbol.asyncDispose]();
    await world[Symbol.asyncDispose]();
  });

  async function expectHanging(): Promise<void> {
    expect(await expectSuccess("cat", [running])).toBe("runs\n");
    expect(await processesWith(hanging)).toHaveLength(1);
  }

  async function expectNothingLeft(instance: string): Promise<void> {
    expect(await containersWith(`io.hardshare.instance=${instance}`)).toEqual([]);
    expect(await networksWith(`io.hardshare.instance=${instance}`)).toEqual([]);
    expect(await processesLeft(instance)).toEqual([]); // each has the id in its environment
    expect(await processesLeft(hanging)).toEqual([]);
  }

  test("a failing init program ends in INIT_FAIL with the step's name and its last lines, and leaves nothing", async () => {
    const result = await owner.run(["launch", ids.failing, "--wait", "--format", "json"]);
    expect(result.code).toBe(1);
    expect(result.stdout).toBe("");
    const { error } = JSON.parse(result.stderr.trimEnd().split("\n").at(-1) ?? "") as {
      error: { code: string; message: string; details: { instance: string; step: string; log: string } };
    };
    expect(error).toMatchObject({ code: "launch_failed", details: { step: "init" } });
    expect(error.details.log).toContain("homing the arm\njoint 3 does not move");
    expect(error.message).toMatch(/failed in step "init":\n\s+homing the arm\n\s+joint 3 does not move\n/);
    const view = (await api(`/instance/${error.details.instance}`)) as Launched;
    expect(view).toMatchObject({ status: "INIT_FAIL", failed_step: "init" });
    await expectNothingLeft(view.id);
    const again = (await api(`/deployment/${ids.failing}`)) as { lockout?: boolean; queuelen: number; holder: unknown };
    expect(again).toMatchObject({ queuelen: 0, holder: null });
    expect(again.lockout).toBeUndefined();
  });

  test("a launch can be cancelled while its init program runs: the program is killed, the terminate programs run, nothing is left", async () => {
    const { id } = await owner.json<Launched>("launch", ids.hanging);
    await expectHanging();
    await expectAnswer(owner.run(["terminate", id]));
    expect(await api(`/instance/${id}`)).toMatchObject({ status: "TERMINATED" });
    await expectNothingLeft(id);
    expect(await expectSuccess("cat", [join(world.folder, "terminated")])).toContain(`${id} terminate`);
  });

  test.each(["SIGINT", "SIGTERM"] as const)("%s to `launch --wait` during INIT cancels the launch and leaves nothing", async (signal) => {
    const launch = owner.start("launch", ids.hanging, "--wait");
    await expectHanging();
    const [id = ""] = (await owner.json<Launched[]>("instances")).map((instance) => instance.id);
    expect(await launch.stop(signal)).toBe(1);
    expect(launch.output).toBe("");
    expect(launch.log).toContain(`the launch was cancelled: instance ${id} has ended`);
    expect(await api(`/instance/${id}`)).toMatchObject({ status: "TERMINATED" });
    await expectNothingLeft(id);
    expect(await readdir(join(owner.home, "state", "launches"))).not.toContain(id);
    expect(await expectSuccess("cat", [join(world.folder, "terminated")])).toContain(`${id} terminate`);
  });

  /** An instance that is READY before its time is over, also on a busy machine. */
  async function launchBriefly(): Promise<Launched> {
    for (let seconds = 3; ; seconds *= 2) {
      const { code, stdout, stderr } = await owner.run(["launch", ids.plain, "--for", `${seconds}s`, "--wait", "--format", "json"]);
      if (code === 0) return JSON.parse(stdout) as Launched;
      expect(stderr).toContain("expired");
    }
  }

  test("an instance ends at its deadline", async () => {
    const { id } = await launchBriefly();
    const events = await followEvents(world.ready.url, owner, id, () => false); // the stream ends with the final state
    expect(events.at(-1)).toMatchObject({ kind: "state", data: { state: "TERMINATED" } });
    expect(await api(`/instance/${id}`)).toMatchObject({ status: "TERMINATED", end_reason: "expired" });
    await expectNothingLeft(id);
  });

  test("a container that dies while READY ends the instance", async () => {
    const { id } = await owner.json<Launched>("launch", ids.plain, "--wait");
    const [container = ""] = await containersWith(`io.hardshare.instance=${id}`);
    await expectSuccess("podman", ["kill", container]);
    await followEvents(world.ready.url, owner, id, () => false);
    expect(await api(`/instance/${id}`)).toMatchObject({ status: "TERMINATED", end_reason: "container_died" });
    await expectNothingLeft(id);
  });

  test("the owner locks and unlocks a deployment, with a reason that users see", async () => {
    await expectAnswer(owner.run(["lock", ids.plain, "--reason", "arm is loose"]));
    const refused = await owner.run(["launch", ids.plain]);
    expect(refused.code).toBe(3);
    expect(refused.stderr).toContain("arm is loose");
    await expectAnswer(owner.run(["unlock", ids.plain]));
    const { id } = await owner.json<Launched>("launch", ids.plain, "--wait");
    await expectAnswer(owner.run(["terminate", id]));
  });

  test("`stop-ad --now` takes the device back, also during INIT", async () => {
    const { id } = await owner.json<Launched>("launch", ids.hanging);
    await expectHanging();
    await expectAnswer(owner.run(["stop-ad", ids.hanging, "--now"]));
    await followEvents(world.ready.url, owner, id, () => false);
    await expectNothingLeft(id);
    const refused = await owner.run(["launch", ids.hanging]);
    expect(refused.code).toBe(6);
  });

  async function api(path: string): Promise<unknown> {
    const response = await fetch(world.ready.url + path, { headers: { authorization: `Bearer ${owner.token}` } });
    return response.json();
  }
});
