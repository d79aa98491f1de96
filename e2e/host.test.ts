import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithContainers } from "./harness/containers.ts";
import { expectSuccess } from "./harness/commands.ts";
import { followEvents } from "./harness/events.ts";
import { OwnHost } from "./harness/own-host.ts";
import { containersWith, processesWith } from "./harness/leftovers.ts";
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
  const ids = { failing: "", hanging: "", plain: "" };

  beforeAll(async () => {
    world = await World.create();
    owner = await world.user("olga");
    host = new OwnHost(owner);
    await expectAnswer(owner.run(["init", "--server", world.ready.url]));
    const marker = join(world.folder, "terminated");
    await writeFile(join(world.folder, "note-end.sh"), `#!/bin/sh\necho "$HARDSHARE_INSTANCE $HARDSHARE_EVENT" >> ${marker}\n`, {
      mode: 0o755,
    });
    ids.failing = await host.share(`provider: podman\ninit: [/bin/false]\n`);
    ids.hanging = await host.share(`provider: podman\ninit: [sleep 3600]\nterminate: [${join(world.folder, "note-end.sh")}]\n`);
    ids.plain = await host.share("provider: podman\n");
    await host.advertise();
  });

  afterAll(async () => {
    await host[Symbol.asyncDispose]();
    await world[Symbol.asyncDispose]();
  });

  async function expectNothingLeft(instance: string): Promise<void> {
    expect(await containersWith(`io.hardshare.instance=${instance}`)).toEqual([]);
    expect(await processesWith(instance)).toEqual([]);
  }

  test("a failing init program ends in INIT_FAIL with the step's name, and leaves nothing", async () => {
    const result = await owner.run(["launch", ids.failing, "--wait", "--format", "json"]);
    expect(result.code).toBe(1);
    expect(`${result.stdout}${result.stderr}`).toContain("init");
    const { workspace_instances: instances } = (await api(`/instances?include_init_fail&include_terminated`)) as {
      workspace_instances: string[];
    };
    const view = (await api(`/instance/${instances[0]}`)) as Launched & { id: string };
    expect(view).toMatchObject({ status: "INIT_FAIL", failed_step: "init" });
    await expectNothingLeft(view.id);
    const again = (await api(`/deployment/${ids.failing}`)) as { lockout?: boolean; queuelen: number; holder: unknown };
    expect(again).toMatchObject({ queuelen: 0, holder: null });
    expect(again.lockout).toBeUndefined();
  });

  test("a launch can be cancelled while its init program runs: the program is killed, the terminate programs run, nothing is left", async () => {
    const { id } = await owner.json<Launched>("launch", ids.hanging);
    await followEvents(
      world,
      owner,
      id,
      (event) => event.kind === "step" && event.data["step"] === "init" && event.data["phase"] === "started",
    );
    await expectAnswer(owner.run(["terminate", id]));
    expect(await api(`/instance/${id}`)).toMatchObject({ status: "TERMINATED" });
    expect(await processesWith("sleep\x003600")).toEqual([]);
    await expectNothingLeft(id);
    expect(await expectSuccess("cat", [join(world.folder, "terminated")])).toContain(`${id} terminate`);
  });

  test("an instance ends at its deadline", async () => {
    const { id } = await owner.json<Launched>("launch", ids.plain, "--for", "3s", "--wait");
    const events = await followEvents(world, owner, id, () => false); // the stream ends with the final state
    expect(events.at(-1)).toMatchObject({ kind: "state", data: { state: "TERMINATED" } });
    expect(await api(`/instance/${id}`)).toMatchObject({ status: "TERMINATED", end_reason: "expired" });
    await expectNothingLeft(id);
  });

  test("a container that dies while READY ends the instance", async () => {
    const { id } = await owner.json<Launched>("launch", ids.plain, "--wait");
    const [container = ""] = await containersWith(`io.hardshare.instance=${id}`);
    await expectSuccess("podman", ["kill", container]);
    await followEvents(world, owner, id, () => false);
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
    await followEvents(
      world,
      owner,
      id,
      (event) => event.kind === "step" && event.data["step"] === "init" && event.data["phase"] === "started",
    );
    await expectAnswer(owner.run(["stop-ad", ids.hanging, "--now"]));
    await followEvents(world, owner, id, () => false);
    await expectNothingLeft(id);
    const refused = await owner.run(["launch", ids.hanging]);
    expect(refused.code).toBe(6);
  });

  async function api(path: string): Promise<unknown> {
    const response = await fetch(world.ready.url + path, { headers: { authorization: `Bearer ${owner.token}` } });
    return response.json();
  }
});
