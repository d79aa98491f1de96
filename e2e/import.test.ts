/** A whole configuration of the existing client, imported, offered, and used. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithContainers } from "./harness/containers.ts";
import { OwnHost } from "./harness/own-host.ts";
import { expectAnswer, type Person, World } from "./harness/world.ts";

const CONTAINER = "8c1f54b2-7c3e-4b6a-8a53-0d5a2f9b1c01";
const PROXY = "8c1f54b2-7c3e-4b6a-8a53-0d5a2f9b1c02";

interface ImportAnswer {
  deployments: { id: string; contract: string; notes: string[] }[];
  declared: { id: string; isDeclared: boolean }[];
  warnings: string[];
}

describeWithContainers("the configuration of the existing client", () => {
  let world: World;
  let owner: Person;
  let host: OwnHost;
  let ended: string;
  let imported: ImportAnswer;

  beforeAll(async () => {
    world = await World.create();
    owner = await world.user("olga");
    host = new OwnHost(owner);
    ended = join(world.folder, "ended");
    const folder = join(owner.home, ".rerobots");
    await mkdir(join(folder, "tokens"), { recursive: true });
    await writeFile(join(world.folder, "robot.yaml"), "default: block\nrules:\n  - { verb: GET, uri: /api/battery }\n");
    const robot = new URL(world.ready.robot.url).host;
    const old = { owner: "olga", cargs: [], container_name: "rrc", env: {}, services: {}, init_inside: [], terminate: [], monitor: null };
    const wdeployments = [
      {
        ...old,
        id: CONTAINER,
        cprovider: "podman",
        image: "rerobots/hs-generic",
        cargs: ["--device=/dev/null:/dev/null"],
        env: { MODE: "safe and sound" },
        services: { ROBOT: `rrhttp --config ${join(world.folder, "robot.yaml")} ${robot}` },
        init_inside: ['echo "$HARDSHARE_EVENT" > /began && chmod 600 /began'],
        terminate: [`echo "$HARDSHARE_INSTANCE" >> ${ended}`],
        url: null,
        ssh_key: null,
        colour: "red",
      },
      { ...old, id: PROXY, cprovider: "proxy", cargs: ["rrhttp", robot], image: null, url: null, ssh_key: null },
    ];
    const main = { version: 0, wdeployments, ssh_key: join(folder, "ssh/tun"), api_tokens: {}, default_org: null, known_orgs: [] };
    await writeFile(join(folder, "main"), JSON.stringify(main));
    // The existing client registers without a key of its host, and lets the server choose the id: PROXY is known to none.
    imported = await owner.json<ImportAnswer>("init", "--import", folder);
    for (const { id } of imported.deployments) await owner.json("register", "--permit-more", "--id", id);
    await host.advertise();
  });

  afterAll(async () => {
    await host[Symbol.asyncDispose]();
    await world[Symbol.asyncDispose]();
  });

  test("tells what it does not take over, and what is still to do", () => {
    expect(imported.warnings).toEqual([expect.stringContaining("colour")]);
    expect(imported.declared).toMatchObject([{ isDeclared: false }, { isDeclared: false }]);
  });

  test("gives instances what they had: variables, services with their rules, programs inside and at the end", async () => {
    const launched = await owner.json<{ id: string; status: string }>("launch", CONTAINER, "--wait");
    expect(launched.status).toBe("READY");
    const inside = async (command: string) => (await expectAnswer(owner.run(["ssh", launched.id, "--", command]))).stdout;
    expect(await inside("echo $MODE; cat /began; stat -c %a /began")).toBe("safe and sound\ninit_inside\n600\n");
    const ask = (path: string) => inside(`curl -s -o /dev/null -w '%{http_code}' http://$ROBOT${path}`);
    expect(await ask("/api/battery")).toBe("200");
    expect(await ask("/api/reboot")).toBe("403");
    await expectAnswer(owner.run(["terminate", launched.id]));
    expect(await readFile(ended, "utf8")).toBe(`${launched.id}\n`);
  });

  test("leads to the device of a proxy deployment", async () => {
    const launched = await owner.json<{ id: string }>("launch", PROXY, "--wait");
    const forward = owner.start<{ host: string; port: number }>("forward", launched.id);
    await using _ = forward;
    const { host: address, port } = await forward.ready;
    expect((await fetch(`http://${address}:${port}/api/battery`)).status).toBe(200);
    await forward.stop();
    await expectAnswer(owner.run(["terminate", launched.id]));
  });

  test("is edited by commands while the daemon runs, which takes it over", async () => {
    const answer = await owner.json<{ daemon: string }>("config", CONTAINER.slice(0, 36), "--add-env", "MORE=x");
    expect(answer.daemon).toBe("told");
    const launched = await owner.json<{ id: string }>("launch", CONTAINER, "--wait");
    expect((await expectAnswer(owner.run(["ssh", launched.id, "--", "echo $MORE"]))).stdout).toBe("x\n");
    await expectAnswer(owner.run(["terminate", launched.id]));
  });
});
